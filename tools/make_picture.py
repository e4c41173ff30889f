"""Makes the bundled picture, `web/pictures/lighthouse.png`: a lighthouse on a headland in evening light.

    python -m svd_nodes.tools.make_picture OUT.png [--width 1024] [--height 576] [--seed 7] [--samples 2]

Nobody's photograph and nobody's drawing: a small ray tracer with seeded noise. World axes: x right, y up, z forward,
in metres; the camera looks along z from above the water. Colours are linear light until `develop`.
"""

import argparse
from dataclasses import dataclass

import numpy as np
from PIL import Image

Array = np.ndarray

EYE = np.array([0.0, 7.5, 0.0])  # the camera, 7.5 m above the sea
SUN = np.array([-0.405, 0.088, 0.91])  # towards the sun, near the left edge of the frame
LIGHT = np.array([-0.80, 0.36, -0.26])  # towards the light on solid things: the whole bright west, not its disc alone
TOWER = np.array([23.0, 0.0, 118.0])  # foot of the lighthouse; its height is the ground's there
COTTAGE = np.array([34.5, 0.0, 116.0])
FAR = 420.0  # where land ends


def unit(v: Array) -> Array:
    """v (..., 3) scaled to length one."""
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


SUN, LIGHT = unit(SUN), unit(LIGHT)


def mix(a: Array | float, b: Array | float, t: Array) -> Array:
    """a where t is 0, b where t is 1. A t without a colour axis is given one when a colour is mixed."""
    if np.ndim(t) < max(np.ndim(a), np.ndim(b)) or (np.shape(a)[-1:] == (3,) and np.shape(t)[-1:] != (3,)):
        t = t[..., None]
    return a + (np.asarray(b) - a) * t


def step(low: float, high: float, x: Array) -> Array:
    """Smoothstep: 0 below low, 1 above high."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def colour(r: float, g: float, b: float) -> Array:
    """A colour given as the eye sees it (sRGB, 0..1), in linear light."""
    return np.array([r, g, b]) ** 2.2


class Noise:
    """A periodic field of fractal noise, mean 0 and deviation 1, read anywhere with bilinear interpolation."""

    def __init__(self, rng: np.random.Generator, slope: float, size: int = 2048, low: float = 2.0) -> None:
        f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) * size
        spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * np.where(
            f < low, 0.0, np.maximum(f, 1e-9) ** -slope
        )
        field = np.fft.irfft2(spectrum, s=(size, size))
        self.field = ((field - field.mean()) / field.std()).astype(np.float32)
        self.size = size

    def __call__(self, u: Array, v: Array) -> Array:
        """The field at (u, v), one period per unit."""
        x, y = u % 1.0 * self.size, v % 1.0 * self.size
        i, j = x.astype(np.int32), y.astype(np.int32)
        s, t = x - i, y - j
        i, j = i % self.size, j % self.size
        k, m = (i + 1) % self.size, (j + 1) % self.size
        f = self.field
        return (f[j, i] * (1 - s) + f[j, k] * s) * (1 - t) + (f[m, i] * (1 - s) + f[m, k] * s) * t


@dataclass
class Scene:
    """The noise fields that everything is made from, by the roughness of what they are used for."""

    smooth: Noise  # hills, coast, clouds' great shapes
    rough: Noise  # rock and cloud edges
    fine: Noise  # texture

    @classmethod
    def seeded(cls, seed: int) -> "Scene":
        rng = np.random.default_rng(seed)
        return cls(Noise(rng, 2.3), Noise(rng, 1.75), Noise(rng, 1.15, low=8))


# ---------------------------------------------------------------- sky


def clear_sky(d: Array) -> Array:
    """Radiance of the cloudless sky in the directions d (..., 3)."""
    up = np.clip(d[..., 1], 0.0, 1.0)
    towards = np.clip((d @ SUN + 1) / 2, 0.0, 1.0)
    horizon = mix(colour(0.72, 0.66, 0.74), colour(1.0, 0.80, 0.56), towards**7)
    middle = mix(colour(0.56, 0.66, 0.80), colour(0.80, 0.77, 0.74), towards**6)
    zenith = mix(colour(0.20, 0.36, 0.60), colour(0.34, 0.50, 0.70), towards**3)
    sky = mix(mix(horizon, middle, step(0.0, 0.17, up)), zenith, step(0.06, 0.62, up))
    angle = np.arccos(np.clip(d @ SUN, -1, 1))
    glow = 0.75 * np.exp(-angle * 9)[..., None] * colour(1.0, 0.78, 0.46) + 2.2 * np.exp(-angle * 42)[
        ..., None
    ] * colour(1.0, 0.86, 0.6)
    return sky + glow + 30.0 * step(0.0125, 0.0095, angle)[..., None] * colour(1.0, 0.93, 0.78)


def cloud_depth(scene: Scene, x: Array, z: Array) -> Array:
    """How thick the clouds are over the ground point (x, z), in cloud heights; below zero: clear."""
    base = scene.smooth(x * 0.052 + 0.30, z * 0.075 + 0.12) * 0.62
    return base + scene.rough(x * 0.16, z * 0.23) * 0.55 + scene.fine(x * 0.21, z * 0.30) * 0.10 + 0.02


def sky(scene: Scene, d: Array) -> Array:
    """Radiance of the sky with its clouds in the directions d (..., 3)."""
    clear = clear_sky(d)
    up = np.maximum(d[..., 1], 0.012) + 0.045  # the earth is round: clouds never reach quite to the horizon
    x, z = d[..., 0] / up, d[..., 2] / up
    depth = cloud_depth(scene, x, z)
    ahead = SUN[[0, 2]] * 0.42
    shade = depth - cloud_depth(scene, x + ahead[0], z + ahead[1])  # thinner towards the sun: lit
    cover = step(0.0, 0.85, depth) * step(0.004, 0.09, d[..., 1]) * 0.93
    towards = np.clip(d @ SUN, 0.0, 1.0)
    lit = mix(colour(0.97, 0.80, 0.72), colour(1.0, 0.86, 0.62), towards**5) * (1.0 + 0.9 * towards**20)[..., None]
    dark = mix(colour(0.44, 0.46, 0.57), colour(0.62, 0.54, 0.55), towards**4)
    light = np.clip(0.52 + 0.42 * shade - 0.22 * np.clip(depth - 0.5, 0, 2), 0, 1)
    return mix(clear, mix(dark, lit, light), cover)


# ---------------------------------------------------------------- land


def headland(scene: Scene, x: Array, z: Array) -> Array:
    """Height of the headland: a rocky foot, turf rising to a level top, and level ground where the tower stands."""
    warp_x = x + 7 * scene.smooth(x / 240 + 0.11, z / 240)
    warp_z = z + 7 * scene.smooth(x / 240, z / 240 + 0.47)
    inland = 1 - np.hypot((warp_x - 80) / 82, (warp_z - 152) / 66)
    from_tower = np.hypot(x - TOWER[0] - 4, (z - TOWER[2]) * 1.1)
    crags = 0.050 * scene.smooth(x / 55 + 0.2, z / 55) + 0.016 * scene.rough(x / 45, z / 45)
    shape = np.maximum(inland, 0.42 - from_tower / 58) + crags
    height = -3.5 + 11.0 * step(-0.03, 0.085, shape) + 8.5 * step(0.04, 0.30, shape) + 9 * step(0.30, 1.0, shape)
    bumps = 0.9 * scene.smooth(x / 50, z / 50 + 0.3) + 0.55 * np.abs(scene.rough(x / 40 + 0.3, z / 40))
    height = height + bumps * step(-0.05, 0.04, shape) * (1 - 0.6 * step(0.14, 0.30, shape))
    return mix(height, 15.6, step(17, 9, from_tower))


def boulders(scene: Scene, x: Array, z: Array) -> Array:
    """Height of the rocks near the camera and of the skerries further out."""
    near = np.hypot((x - 15.5) / 17, (z - 35) / 10) + 0.16 * scene.smooth(x / 26, z / 26)
    mounds = np.clip(1.0 + 0.55 * scene.smooth(x / 22 + 0.7, z / 22 + 0.2), 0.2, 2)
    rocks = (
        -1.7 + 3.5 * step(1.15, 0.30, near) * mounds + 0.22 * np.abs(scene.rough(x / 16, z / 16)) * step(1.2, 0.8, near)
    )
    rocks = rocks + 0.055 * scene.rough(x / 4, z / 4) * step(1.3, 1.0, near)
    offshore = np.clip(scene.rough(x / 170 + 0.62, z / 170 + 0.71) - 0.55, 0, 1.0) * step(60, 25, np.abs(z - 92))
    return np.maximum(rocks, -2.2 + 3.6 * offshore)


def ground(scene: Scene, x: Array, z: Array) -> Array:
    """Height of the land above the sea at (x, z), in metres; below zero is under water."""
    return np.maximum(headland(scene, x, z), boulders(scene, x, z))


class Relief:
    """The ground on a grid of 0.2 m: what a ray asks hundreds of times on its way."""

    def __init__(self, scene: Scene) -> None:
        x, z = np.meshgrid(np.arange(-80, 260, 0.2), np.arange(8, FAR, 0.2))
        self.heights = ground(scene, x, z).astype(np.float32)

    def __call__(self, x: Array, z: Array) -> Array:
        """Height at (x, z); open sea outside the grid."""
        u, v = (x + 80) * 5, (z - 8) * 5
        rows, columns = self.heights.shape
        inside = (u >= 0) & (v >= 0) & (u < columns - 1) & (v < rows - 1)
        u, v = np.where(inside, u, 0), np.where(inside, v, 0)
        i, j = u.astype(np.int32), v.astype(np.int32)
        s, t, h = u - i, v - j, self.heights
        height = (h[j, i] * (1 - s) + h[j, i + 1] * s) * (1 - t) + (h[j + 1, i] * (1 - s) + h[j + 1, i + 1] * s) * t
        return np.where(inside, height, -5.0)


def march(relief: Relief, origin: Array, d: Array, near: float, far: float, steps: int) -> Array:
    """Distance along the rays (n, 3) at which they meet the land, inf where they do not."""
    ratio = (far / near) ** (1 / steps)
    hit = np.full(len(d), np.inf)
    live, t = np.arange(len(d)), near
    for _ in range(steps):
        p = origin[live] + d[live] * (t * ratio)
        below = p[:, 1] < relief(p[:, 0], p[:, 2])
        crossed = live[below]
        low, high = np.full(len(crossed), t), np.full(len(crossed), t * ratio)
        for _ in range(8 if len(crossed) else 0):  # close in on the crossing
            middle = (low + high) / 2
            q = origin[crossed] + d[crossed] * middle[:, None]
            under = q[:, 1] < relief(q[:, 0], q[:, 2])
            low, high = np.where(under, low, middle), np.where(under, middle, high)
        hit[crossed] = high
        live = live[~below & ((p[:, 1] > -0.5) | (d[live, 1] > 0)) & ((p[:, 1] < 32) | (d[live, 1] < 0))]
        t *= ratio
        if not len(live):
            break
    return hit


def land_colour(scene: Scene, p: Array, n: Array) -> Array:
    """What the ground is made of at the points p with normals n: layers of rock, turf on the flat, weed by the sea."""
    x, y, z = p.T
    layers = scene.fine(x / 70, y / 9 + z / 90) * 0.5 + scene.rough(x / 30 + y / 20, z / 30 - y / 16) * 0.5
    rock = mix(colour(0.36, 0.32, 0.29), colour(0.66, 0.57, 0.47), np.clip(0.5 + 0.28 * layers, 0, 1))
    patches = np.clip(0.5 + 0.35 * scene.fine(x / 25, z / 25) + 0.25 * scene.rough(x / 60, z / 60), 0, 1)
    turf = mix(colour(0.29, 0.33, 0.17), colour(0.58, 0.54, 0.28), patches)
    flat = step(0.70, 0.88, n[:, 1] + 0.05 * layers) * step(9, 14, y)
    wet = step(2.2, 0.5, y + 0.35 * layers)
    return mix(mix(rock, turf, flat), colour(0.16, 0.15, 0.14), wet * 0.85)


def tower_shadow(p: Array, foot: float) -> Array:
    """How much of the light the tower leaves at the points p: 0 in its shadow, 1 outside."""
    away = p[:, [0, 2]] - TOWER[[0, 2]]
    side = np.abs(away @ np.array([-LIGHT[2], LIGHT[0]])) / np.hypot(LIGHT[0], LIGHT[2])
    along = -(away @ LIGHT[[0, 2]]) / np.hypot(LIGHT[0], LIGHT[2])
    height = p[:, 1] - foot + along * LIGHT[1] / np.hypot(LIGHT[0], LIGHT[2])
    return 1 - step(3.2, 2.3, side) * (along > 0) * step(27, 25, height)


def lit(albedo: Array, n: Array, sun: Array, open_sky: Array | float = 1.0) -> Array:
    """Light leaving a matt surface: warm light from the west, blue from above, a little from below."""
    direct = (np.clip(n @ LIGHT, 0, 1) * sun)[:, None] * colour(1.0, 0.83, 0.60) * 2.3
    above = (0.5 + 0.5 * n[:, 1:2]) * colour(0.58, 0.66, 0.80) * 0.85
    below = (0.5 - 0.5 * n[:, 1:2]) * colour(0.50, 0.45, 0.40) * 0.35
    return albedo * (direct + (above + below) * np.asarray(open_sky)[..., None])


def haze(light: Array, d: Array, distance: Array) -> Array:
    """Aerial perspective: far things take the colour of the sky behind them."""
    level = d * np.array([1.0, 0.0, 1.0]) + np.array([0.0, 0.03, 0.0])
    return mix(light, clear_sky(unit(level)), 1 - np.exp(-distance / 1100))


def land(scene: Scene, relief: Relief, d: Array, t: Array, foot: float) -> Array:
    """Light from the land that the rays d meet at distance t."""
    p = EYE + d * t[:, None]
    e = 0.02 + t * 0.0007
    h = [ground(scene, p[:, 0] + sx * e, p[:, 2] + sz * e) for sx, sz in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    n = unit(np.stack([h[1] - h[0], 2 * e, h[3] - h[2]], -1))
    reach = march(relief, p + n * 0.3, np.broadcast_to(LIGHT, p.shape), 0.4, 60.0, 36)
    sun = np.isinf(reach) * tower_shadow(p, foot)
    around = sum(relief(p[:, 0] + 3 * np.cos(a), p[:, 2] + 3 * np.sin(a)) for a in range(6)) / 6
    open_sky = np.clip(1 - 0.16 * (around - p[:, 1]), 0.3, 1.1)
    return haze(lit(land_colour(scene, p, n), n, sun, open_sky), d, t)


# ---------------------------------------------------------------- sea


def wave_slopes(rng: np.random.Generator, x: Array, z: Array, footprint: Array) -> tuple[Array, Array, Array]:
    """Slopes of the water in x and z, and the variance of the ripples too small for a pixel."""
    sx, sz, lost = np.zeros_like(x), np.zeros_like(x), np.full_like(x, 0.0006)
    for length in np.geomspace(26, 0.22, 64):
        angle = rng.normal(0.35, 0.62)
        k = 2 * np.pi / length
        steep = 0.034 * (length / 6) ** 0.16 * rng.uniform(0.6, 1.3)
        kx, kz = k * np.sin(angle), k * np.cos(angle)
        seen = np.exp(-((footprint * np.abs(kz) / 2.6) ** 2))
        phase = kx * x + kz * z + rng.uniform(0, 2 * np.pi)
        slope = (
            steep * (np.cos(phase + 0.45 * np.sin(phase)) + 0.219) * seen
        )  # sharper crests; J1(0.45) keeps the mean 0
        sx, sz = sx + slope * np.sin(angle), sz + slope * np.cos(angle)
        lost = lost + 0.5 * steep**2 * (1 - seen**2)
    return sx, sz, lost


def sea(scene: Scene, seed: int, d: Array, f: float) -> Array:
    """Light from the sea in the downward directions d: the mirrored sky, the green of the water, glitter and foam."""
    t = EYE[1] / np.maximum(-d[:, 1], 1e-4)
    p = EYE + d * t[:, None]
    x, z = p[:, 0], p[:, 2]
    footprint = t * t / (EYE[1] * f)
    gust = 1 + 0.35 * scene.smooth(x / 700, z / 1500)
    sx, sz, lost = wave_slopes(np.random.default_rng(seed), x, z, np.minimum(footprint, 60))
    n = unit(np.stack([-sx * gust, np.ones_like(x), -sz * gust], -1))
    facing = np.clip(-(n * d).sum(-1), 0.02, 1)
    r = d + 2 * facing[:, None] * n
    r[:, 1] = np.abs(r[:, 1]) + 1.1 * np.sqrt(lost)  # unseen ripples tilt the mirror up, on average
    r = unit(r)
    fresnel = 0.02 + 0.98 * (1 - np.clip(facing + 0.6 * np.sqrt(lost), 0, 1)) ** 4
    mirrored = np.minimum(sky(scene, r), 1.6)
    depth = ground(scene, x, z)
    body = mix(colour(0.03, 0.15, 0.21), colour(0.12, 0.31, 0.32), step(-1.6, -0.2, depth))
    light = mix(body * 0.8, mirrored * 0.92, fresnel)
    wide = 0.0022 + 1.5 * lost
    off = (r - SUN) * np.array([1.7, 0.55, 0.55])
    sparkle = np.exp(1.1 * np.random.default_rng(seed).standard_normal(len(x)) - 0.6)  # ripples that happen to face us
    glitter = 0.062 * fresnel * sparkle / wide * np.exp(-(off**2).sum(-1) / wide)
    light = light + np.minimum(glitter, 9)[:, None] * colour(1.0, 0.83, 0.55)
    light = mix(light, haze(light, d, np.minimum(t, 4000.0)), np.full_like(t, 0.8))
    return mix(light, colour(0.86, 0.85, 0.86) * 0.85, foam(scene, x, z, depth, sz, t))


def foam(scene: Scene, x: Array, z: Array, depth: Array, slope: Array, t: Array) -> Array:
    """How much white water covers the sea: a lacy rim where the land dips under, and a few crests further out."""
    lace = 0.5 + 0.5 * np.clip(1.2 - np.abs(scene.rough(x / 16, z / 28)) * 1.7, -1, 1)
    rim = step(-1.0, -0.1, depth + 0.28 * scene.rough(x / 30, z / 30)) * step(200, 80, t) * step(0.25, 0.7, lace)
    far_rim = (
        step(-1.3, -0.2, depth + 0.2 * scene.fine(x / 20, z / 40))
        * step(60, 110, t)
        * step(-0.6, 0.6, scene.fine(x / 30, z / 60))
    )
    caps = step(2.1, 2.9, scene.fine(x / 42, z / 110) + 4.0 * slope) * step(20, 50, t) * step(420, 120, t)
    return np.clip(0.85 * rim + 0.8 * far_rim + 0.55 * caps, 0, 0.93)


# ---------------------------------------------------------------- lighthouse and cottage

# The tower's outline: heights above its foot, and the radius at each, in metres.
HEIGHTS = [
    0,
    0.7,
    0.71,
    19.0,
    19.6,
    20.0,
    20.35,
    20.36,
    21.2,
    21.25,
    24.0,
    24.05,
    24.3,
    24.9,
    25.6,
    26,
    26.5,
    26.7,
    27.9,
]
RADII = [3.9, 3.9, 3.3, 2.25, 2.7, 3.25, 3.25, 1.95, 1.95, 1.72, 1.72, 2.15, 2.15, 1.75, 0.95, 0.28, 0.28, 0.10, 0.06]


def radius(y: Array) -> Array:
    """The tower's radius at height y above its foot; negative above and below it."""
    return np.interp(y, HEIGHTS, RADII, left=-1.0, right=-1.0)


def tower(d: Array, foot: float) -> tuple[Array, Array]:
    """Distance (inf: missed) and light of the lighthouse along the rays d (n, 3)."""
    centre = TOWER + np.array([0.0, foot, 0.0])
    t, hit = (TOWER[2] - 4.4) / d[:, 2], np.zeros(len(d), bool)
    for _ in range(400):
        q = EYE + d * t[:, None] - centre
        hit |= np.hypot(q[:, 0], q[:, 2]) < radius(q[:, 1])
        t = np.where(hit, t, t + 0.022)
    q = EYE + d * t[:, None] - centre
    y, angle = q[:, 1], np.arctan2(q[:, 0], -q[:, 2])
    lean = (radius(y + 0.05) - radius(y - 0.05)) / 0.1
    n = unit(np.stack([q[:, 0], -np.clip(lean, -6, 6) * np.hypot(q[:, 0], q[:, 2]), q[:, 2]], -1))
    light = lit(tower_paint(y, angle), n, np.ones(len(d)))
    glass = (y > 21.3) & (y < 23.95)
    bars = (np.abs((angle * 8 / np.pi) % 1 - 0.5) > 0.42) | (np.abs((y - 21.25) % 1.35 - 0.68) > 0.62)
    lamp = np.exp(-((angle / 0.75) ** 2) - ((y - 22.6) / 0.75) ** 2)[:, None] * colour(1.0, 0.86, 0.55) * 3.2
    pane = mix(clear_sky(unit(n * np.array([1, 0, 1]) + [0, 0.15, 0])) * 0.45, 0.02, np.full(len(d), 0.4)) + lamp
    light = np.where((glass & ~bars)[:, None], pane, light)
    return np.where(hit, t, np.inf), light


def tower_paint(y: Array, angle: Array) -> Array:
    """White with two red bands, dark ironwork above, small windows and a door."""
    white, red, iron = colour(0.87, 0.84, 0.80), colour(0.64, 0.17, 0.13), colour(0.20, 0.20, 0.21)
    stone = colour(0.55, 0.52, 0.48)
    streaks = 0.94 + 0.06 * np.sin(angle * 31 + 3 * np.sin(angle * 7)) * np.sin(y * 0.9 + angle * 5)
    band = ((y > 5.0) & (y < 9.2)) | ((y > 13.2) & (y < 17.2))
    paint = np.where(band[:, None], red, white) * streaks[:, None]
    paint = np.where((y > 20.0)[:, None], iron, paint)
    paint = np.where((y > 24.0)[:, None], colour(0.55, 0.12, 0.10), paint)
    paint = np.where((y < 0.71)[:, None], stone, paint)
    windows = np.zeros_like(band)
    for height, where in ((4.0, 0.15), (11.0, -0.1), (18.0, 0.2)):
        windows |= (np.abs(y - height) < 0.62) & (np.abs(angle - where) < 0.135)
    windows |= (y > 0.7) & (y < 2.9) & (np.abs(angle + 0.42) < 0.2)
    return np.where(windows[:, None], colour(0.13, 0.14, 0.17), paint)


def railing(d: Array, foot: float) -> Array:
    """Where the rays d pass a post or a rail of the gallery (a mask)."""
    mask = np.zeros(len(d), bool)
    flat, r = d[:, [0, 2]], 3.15
    a, b, c = (flat**2).sum(-1), -(flat @ TOWER[[0, 2]]), (TOWER[[0, 2]] ** 2).sum() - r * r
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    for side in (-1, 1):
        q = EYE + d * ((-b + side * root) / a)[:, None] - TOWER
        y, angle = q[:, 1] - foot - 20.35, np.arctan2(q[:, 0], q[:, 2])
        post = np.abs((angle * 14 / np.pi) % 1 - 0.5) * r * np.pi / 14 < 0.045
        rail = (np.abs(y - 1.05) < 0.055) | (np.abs(y - 0.55) < 0.03)
        mask |= (b * b > a * c) & (y > 0) & (y < 1.1) & (post | rail)
    return mask


def cottage_distance(q: Array) -> tuple[Array, Array]:
    """Signed distances from the points q to the walls and to the roof of the keeper's cottage and its chimney."""

    def box(p: Array, half: tuple[float, float, float]) -> Array:
        away = np.abs(p) - np.array(half)
        return np.linalg.norm(np.maximum(away, 0), axis=-1) + np.minimum(away.max(-1), 0)

    walls = np.maximum(box(q - [0, 1.9, 0], (4.6, 4.2, 2.6)), (q[:, 1] + np.abs(q[:, 2]) * 0.85 - 5.5) / 1.31)
    roof = np.abs((q[:, 1] + np.abs(q[:, 2]) * 0.85 - 5.65) / 1.31) - 0.16
    roof = np.maximum(roof, box(q - [0, 4.2, 0], (5.0, 2.3, 3.1)))
    return np.minimum(walls, box(q - [3.4, 5.4, 0], (0.45, 1.5, 0.45))), roof


def cottage(d: Array, foot: float) -> tuple[Array, Array]:
    """Distance (inf: missed) and light of the keeper's cottage along the rays d (n, 3)."""
    turn = np.array([[np.cos(0.5), 0, np.sin(0.5)], [0, 1, 0], [-np.sin(0.5), 0, np.cos(0.5)]])
    centre = COTTAGE + np.array([0.0, foot, 0.0])

    def nearest(q: Array) -> Array:
        return np.minimum(*cottage_distance(q))

    t = np.full(len(d), np.linalg.norm(COTTAGE) - 12)
    for _ in range(90):
        q = (EYE + d * t[:, None] - centre) @ turn.T
        t = t + np.minimum(nearest(q), 2.0) * 0.9
    hit = (nearest(q) < 0.03) & (q[:, 1] > -4)
    n = np.stack([nearest(q + o) - nearest(q - o) for o in np.eye(3) * 0.01], -1) / 0.02
    walls, roof = cottage_distance(q)
    tiles = colour(0.42, 0.25, 0.20) * (0.85 + 0.15 * np.sign(np.sin(q[:, 1] * 14)))[:, None]
    paint = np.where((roof < walls)[:, None], tiles, colour(0.90, 0.87, 0.82))
    front = (np.abs(q[:, 2] + 2.6) < 0.06) & (q[:, 1] > 0.9) & (q[:, 1] < 2.3) & (np.abs(np.abs(q[:, 0]) - 2.4) < 0.55)
    door = (np.abs(q[:, 2] + 2.6) < 0.06) & (q[:, 1] < 2.3) & (np.abs(q[:, 0]) < 0.5)
    paint = np.where((front | door)[:, None], colour(0.15, 0.17, 0.20), paint)
    return np.where(hit, t, np.inf), lit(paint, unit(n) @ turn, np.ones(len(d)))


# ---------------------------------------------------------------- the picture


def rays(width: int, height: int) -> tuple[Array, float]:
    """One direction per pixel, (height, width, 3), and the focal length in pixels. The horizon lies two thirds down."""
    f = 1.02 * width
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, 0.67 * height - np.arange(height) - 0.5)
    return unit(np.stack([x / f, y / f, np.ones_like(x)], -1)), f


def trace(scene: Scene, seed: int, width: int, height: int) -> Array:
    """The picture in linear light, (height, width, 3)."""
    directions, f = rays(width, height)
    d = directions.reshape(-1, 3)
    foot, yard = (float(ground(scene, p[:1], p[2:])[0]) - 0.4 for p in (TOWER, COTTAGE))
    light, down = np.empty_like(d), d[:, 1] < 0
    light[~down] = sky(scene, d[~down])
    light[down] = sea(scene, seed, d[down], f)
    nearest = np.where(down, EYE[1] / np.maximum(-d[:, 1], 1e-6), np.inf)
    low = np.flatnonzero(d[:, 1] < 0.22)
    relief = Relief(scene)
    t = march(relief, np.broadcast_to(EYE, d[low].shape), d[low], 12.0, FAR, 700)
    front = t < nearest[low]
    light[low[front]] = land(scene, relief, d[low[front]], t[front], foot)
    nearest[low[front]] = t[front]
    for make, place, base, reach in ((cottage, COTTAGE, yard, 9.0), (tower, TOWER, foot, 5.0)):
        near = np.flatnonzero(np.abs(d[:, 0] / d[:, 2] - place[0] / place[2]) < reach / place[2])
        t, shade = make(d[near], base)
        front = t < nearest[near]
        light[near[front]] = haze(shade[front], d[near[front]], t[front])
        nearest[near[front]] = t[front]
    rail = railing(d, foot)
    light[rail] = mix(light[rail], colour(0.24, 0.23, 0.23), np.full(rail.sum(), 0.85))
    return light.reshape(height, width, 3)


def blur(image: Array, radius: float) -> Array:
    """A Gaussian blur that wraps around, in the frequency domain. image: (h, w, 3)."""
    fy, fx = np.fft.fftfreq(image.shape[0])[:, None, None], np.fft.rfftfreq(image.shape[1])[None, :, None]
    response = np.exp(-2 * (np.pi * radius) ** 2 * (fy**2 + fx**2))
    return np.fft.irfft2(np.fft.rfft2(image, axes=(0, 1)) * response, s=image.shape[:2], axes=(0, 1))


def develop(light: Array, rng: np.random.Generator) -> Image.Image:
    """What a camera makes of the light: bloom, vignette, a film's tone curve and grain."""
    height, width, _ = light.shape
    light = np.minimum(light, 12.0)
    light = (
        light
        + 0.05 * blur(np.maximum(light - 0.9, 0), width / 90)
        + 0.035 * blur(np.maximum(light - 0.9, 0), width / 22)
    )
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    light = light * (1 - 0.20 * (x**2 + 0.8 * y**2) ** 1.2 / 1.8)[..., None] * 1.08
    film = np.clip((light * (2.51 * light + 0.03)) / (light * (2.43 * light + 0.59) + 0.14), 0, 1)
    tones = mix(film, light / (1 + 0.25 * light), np.full(film.shape[:2], 0.35))
    picture = np.clip(tones, 0, 1) ** (1 / 2.2)
    grain = rng.standard_normal((height, width, 1)) * (0.0075 * (1.2 - picture.mean(-1, keepdims=True)))
    return Image.fromarray((np.clip(picture + grain, 0, 1) * 255 + 0.5).astype(np.uint8))


def make_picture(width: int = 1024, height: int = 576, seed: int = 7, samples: int = 2) -> Image.Image:
    """The picture at the given size, each pixel the mean of samples x samples rays."""
    light = np.minimum(trace(Scene.seeded(seed), seed, width * samples, height * samples), 6.0)
    light = light.reshape(height, samples, width, samples, 3).mean((1, 3))
    return develop(light, np.random.default_rng(seed))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the bundled lighthouse picture.")
    parser.add_argument("out")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--height", type=int, default=576)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--samples", type=int, default=2, help="rays per pixel along each side")
    args = parser.parse_args()
    make_picture(args.width, args.height, args.seed, args.samples).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
