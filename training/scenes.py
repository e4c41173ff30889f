"""Procedural pictures with the statistics of photographs: what the virtual camera looks at.

A canvas is a dead-leaves picture (Lee, Mumford, Huang, "Occlusion models for natural images", IJCV 2001): opaque shapes
of power-law sizes, later ones over earlier ones. Every shape has a colour of the canvas's palette, a gradient, shading,
1/f texture or stripes, and a hard or a soft edge. Behind them a sky-like gradient with 1/f clouds; over them thin lines
and marks that look like text. A batch of canvases is painted at once: (b 3 s s).
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .draw import Draw

SIZE = 640
FIELDS = 6  # 1/f textures of each canvas that its shapes share
CELLS = (
    1,
    2,
    4,
    1,
    8,
    2,
    4,
    16,
    1,
    2,
    8,
    4,
    1,
    2,
    4,
    8,
    16,
    32,
    1,
    2,
    4,
    1,
    8,
    2,
    16,
    4,
    2,
    8,
    32,
)  # shapes a side, in turn
FINE = 8  # shapes a side, from which on they are small things


@dataclass(frozen=True)
class Palette:
    """Colours of a batch of canvases: grey of any brightness plus a chroma around the canvas's own tint."""

    tint: Tensor  # b 3
    spread: Tensor  # b 1

    def colours(self, draw: Draw, rows: int, columns: int) -> Tensor:
        """(b rows columns 3)"""
        grey = draw.uniform(0.03, 0.97, len(self.tint), rows, columns, 1)
        chroma = draw.normal(len(self.tint), rows, columns, 3)
        chroma = chroma - chroma.mean(dim=-1, keepdim=True)
        return grey + self.tint[:, None, None] + self.spread[:, None, None] * chroma


def palette(draw: Draw, count: int) -> Palette:
    """Three in four are close to grey, as nature is; the others vivid."""
    vivid = draw.chance(0.25, count, 1)
    tint = draw.normal(count, 3)
    tint = tint - tint.mean(dim=-1, keepdim=True)
    return Palette(tint * (0.04 + 0.08 * vivid), draw.uniform(0.02, 0.08, count, 1) + vivid * 0.22)


def pink(draw: Draw, exponent: Tensor, size: int, stretch: Tensor | None = None, turn: Tensor | None = None) -> Tensor:
    """Noise of amplitude 1/f^exponent, mean 0 and variance 1: exponent (b k) -> (b k size size).

    With stretch and turn (b k) its grain is longer than broad by stretch squared, and turned.
    """
    spectrum = torch.fft.rfft2(draw.normal(*exponent.shape, size, size))
    fy = torch.fft.fftfreq(size, device=draw.device)[:, None]
    fx = torch.fft.rfftfreq(size, device=draw.device)[None]
    if stretch is not None and turn is not None:
        cos, sin, long = turn.cos()[..., None, None], turn.sin()[..., None, None], stretch[..., None, None]
        fx, fy = (cos * fx + sin * fy) * long, (cos * fy - sin * fx) / long
    frequency = (fx**2 + fy**2).sqrt().clamp(min=1 / size)
    return standard(torch.fft.irfft2(spectrum * frequency ** -exponent[..., None, None], s=(size, size)))


def standard(field: Tensor) -> Tensor:
    """Mean 0 and variance 1 of every map."""
    field = field - field.mean(dim=(-2, -1), keepdim=True)
    return field / field.std(dim=(-2, -1), keepdim=True)


def textures(draw: Draw, count: int, size: int) -> Tensor:
    """The fields of `count` canvases, (count FIELDS size size): the first for clouds, the last for light.

    Those between are of any grain: half are stretched as grass, hair and water are, a quarter have ridges as bark has.
    """
    shape = (count, FIELDS)
    exponent = draw.uniform(0.5, 1.6, *shape)
    exponent[:, 0], exponent[:, -1] = 1.5, 2.0
    stretch = draw.log_uniform(1.0, 3.0, *shape) ** draw.chance(0.5, *shape)
    stretch[:, 0], stretch[:, -1] = draw.log_uniform(1.0, 2.0, count), 1.0
    turn = draw.uniform(0, torch.pi, *shape)
    turn[:, 0] = 0.2 * draw.normal(count)  # clouds lie
    fields = pink(draw, exponent, size, stretch, turn)
    ridged = draw.chance(0.25, *shape)
    ridged[:, 0] = ridged[:, -1] = 0
    return torch.where(ridged[..., None, None] > 0, standard(-fields.abs()), fields)


def backdrop(draw: Draw, colours: Palette, fields: Tensor) -> Tensor:
    """A gradient between two colours in any direction, with clouds. (b 3 s s)"""
    b, size = len(fields), fields.shape[-1]
    y, x = _axes(size, draw.device)
    angle = draw.uniform(0, 2 * torch.pi, b, 1, 1)
    ramp = (0.5 + (x * angle.cos() + y * angle.sin()) / size).clamp(0, 1)[:, None]
    first, second = rearrange(colours.colours(draw, 1, 2), "b 1 n c -> n b c 1 1")
    return torch.lerp(first, second, ramp) + draw.uniform(0, 0.2, b, 1, 1, 1) * fields[:, :1]


def leaves(draw: Draw, canvas: Tensor, colours: Palette, fields: Tensor, cells: int, density: Tensor) -> Tensor:
    """Paints one shape into each cell of a randomly placed grid, cells a side. density: (b s s), share of cells.

    Small shapes are faint more often than not: what is near in a photograph is mostly of like colour.
    """
    b, size = len(canvas), canvas.shape[-1]
    pitch = size / cells
    shape = (b, cells, cells)
    offset = draw.uniform(0, size, 2, b, 1)
    batch = torch.arange(b, device=draw.device)[:, None, None]
    rows, columns = ((torch.arange(cells, device=draw.device) + 0.5) * pitch - offset).long() % size
    there = draw.chance(density[batch, rows[:, :, None], columns[:, None]], *shape)
    there = there * (draw.uniform(0, 1, *shape) if cells >= FINE else 1)
    radius = pitch * draw.uniform(0.15, 0.48, *shape)
    turn = draw.uniform(0, torch.pi, *shape)
    hard = draw.chance(0.75, *shape)
    wave = draw.log_uniform(0.15, 2.0, *shape) * draw.chance(0.25, *shape)
    parameters = torch.stack(
        [
            radius,
            draw.log_uniform(0.25, 1.0, *shape),  # aspect
            turn.cos(),
            turn.sin(),
            (pitch / 2 - radius) * draw.uniform(-1, 1, *shape),  # centre
            (pitch / 2 - radius) * draw.uniform(-1, 1, *shape),
            draw.log_uniform(0.9, 8.0, *shape),  # 1 a rhombus, 2 an ellipse, 8 nearly a rectangle
            torch.lerp(radius * draw.uniform(0.05, 0.4, *shape), torch.full_like(radius, 0.5), hard),  # edge
            there,
            0.2 * draw.normal(*shape),  # gradient
            0.25 * draw.normal(*shape) * draw.chance(0.4, *shape),  # shading
            draw.log_uniform(0.005, 0.25, *shape),  # texture
            draw.uniform(0, 0.2, *shape) * (wave > 0),  # stripes
            wave,
            *colours.colours(draw, cells, cells).unbind(-1),
        ],
        dim=-1,
    )
    y, x, row, column = _grid(offset, size, cells)
    p = parameters[batch, row[:, :, None], column[:, None]].unbind(-1)  # each b s s
    field = fields[batch[:, 0, 0], draw.integers(fields.shape[1], b)]
    return _paint(canvas, x[:, None], y[:, :, None], p, field)


def _grid(offset: Tensor, size: int, cells: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixel coordinates from their cell's centre, and the cell's row and column, each (b s); offset: (2 b 1)."""
    pitch = size / cells
    position = (torch.arange(size, device=offset.device) + offset) % size
    cell = (position / pitch).long().clamp(max=cells - 1)
    y, x = position - (cell + 0.5) * pitch
    return y, x, cell[0], cell[1]


def _paint(canvas: Tensor, x: Tensor, y: Tensor, p: tuple[Tensor, ...], field: Tensor) -> Tensor:
    """Superellipses with the parameters of `leaves`, over the canvas."""
    radius, aspect, cos, sin, cx, cy, power, edge, there, gradient, shading, texture, stripes, wave, *colour = p
    dx, dy = x - cx, y - cy
    u = (cos * dx + sin * dy) / radius
    v = (cos * dy - sin * dx) / (radius * aspect)
    rho = ((u.abs() + 1e-4) ** power + (v.abs() + 1e-4) ** power) ** (1 / power)
    alpha = there * ((1 - rho) * radius * aspect / edge).sigmoid() * (rho < 1.5)
    tone = gradient * (u + 0.5 * v) + shading * (1 - rho**2) + texture * field + stripes * (wave * u * radius).sin()
    return torch.lerp(canvas, torch.stack(colour, dim=1) + tone[:, None], alpha[:, None])


def stroke(draw: Draw, canvas: Tensor, colours: Palette) -> Tensor:
    """One thin line with soft ends, straight or bent, on each canvas."""
    b, size = len(canvas), canvas.shape[-1]
    y, x = _axes(size, draw.device)
    turn = draw.uniform(0, torch.pi, b, 1, 1)
    centre = draw.uniform(-0.5, 0.5, 2, b, 1, 1) * size
    dx, dy = x - centre[0], y - centre[1]
    u, v = turn.cos() * dx + turn.sin() * dy, turn.cos() * dy - turn.sin() * dx
    v = v + draw.normal(b, 1, 1) * u**2 / size
    width = draw.log_uniform(0.4, 4.0, b, 1, 1)
    length = draw.log_uniform(0.05, 0.7, b, 1, 1) * size
    alpha = ((width - v.abs()) * 2).sigmoid() * ((length - u.abs()) / 2).sigmoid()
    colour = rearrange(colours.colours(draw, 1, 1), "b 1 1 c -> b c 1 1")
    return torch.lerp(canvas, colour, alpha[:, None])


def marks(draw: Draw, canvas: Tensor, colours: Palette) -> Tensor:
    """On every second canvas a block of random 5x7 glyphs in lines, turned a little: it looks like text from afar."""
    b, size = len(canvas), canvas.shape[-1]
    lines, letters = 6, 16
    glyphs = draw.chance(0.55, b, 26, 7, 5)
    text = glyphs[torch.arange(b, device=draw.device)[:, None], draw.integers(26, b, lines * letters)]
    text = text * draw.chance(0.85, b, lines * letters, 1, 1)  # spaces between words
    page = rearrange(F.pad(text, (0, 1, 0, 3)), "b (l n) h w -> b 1 (l h) (n w)", l=lines)
    height, width = page.shape[-2:]
    y, x = _axes(size, draw.device)
    turn = 0.15 * draw.normal(b, 1, 1)
    centre = draw.uniform(-0.45, 0.45, 2, b, 1, 1) * size
    dot = draw.log_uniform(1.2, 5.0, b, 1, 1)  # pixels a dot
    dx, dy = (x - centre[0]) / dot, (y - centre[1]) / dot
    u, v = turn.cos() * dx + turn.sin() * dy, turn.cos() * dy - turn.sin() * dx
    alpha = F.grid_sample(page, torch.stack([2 * u / width, 2 * v / height], dim=-1), align_corners=False)
    colour = rearrange(colours.colours(draw, 1, 1), "b 1 1 c -> b c 1 1")
    return torch.lerp(canvas, colour, alpha * draw.chance(0.5, b, 1, 1, 1))


def finish(draw: Draw, canvas: Tensor, fields: Tensor) -> Tensor:
    """Uneven light, contrast, and for some canvases the softness of a lens."""
    b = len(canvas)
    light = 1 + draw.uniform(0, 0.15, b, 1, 1, 1) * fields[:, -1:]
    canvas = (canvas * light).clamp(0, 1) ** draw.log_uniform(0.7, 1.5, b, 1, 1, 1)
    soft = torch.tensor([0.25, 0.5, 0.25], device=canvas.device)
    kernel = (soft[:, None] * soft)[None, None].expand(3, 1, 3, 3)
    blurred = F.conv2d(F.pad(canvas, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    return torch.lerp(canvas, blurred, draw.uniform(0, 1, b, 1, 1, 1) * draw.chance(0.5, b, 1, 1, 1))


@torch.no_grad()
def paint(draw: Draw, count: int, size: int = SIZE) -> Tensor:
    """`count` canvases, (count 3 size size) uint8."""
    colours = palette(draw, count)
    fields = textures(draw, count, size)
    canvas = backdrop(draw, colours, fields)
    crowd = pink(draw, draw.uniform(1.5, 2.2, count, 1), size)[:, 0]
    crowd = (4 * (crowd - draw.uniform(-1, 1, count, 1, 1))).sigmoid()  # small things: photographs have calm places
    for cells in CELLS:
        density = (draw.uniform(0.05, 0.95, count, 1, 1) ** 1.5).expand(-1, size, size)
        canvas = leaves(draw, canvas, colours, fields, cells, density * crowd if cells >= FINE else density)
    for _ in range(6):
        canvas = stroke(draw, canvas, colours)
    for _ in range(2):
        canvas = marks(draw, canvas, colours)
    return (finish(draw, canvas, fields) * 255).round().to(torch.uint8)


@torch.no_grad()
def cutout(draw: Draw, count: int, size: int = SIZE) -> Tensor:
    """Masks of things that stand in front, 0..1 with crisp edges: (count 1 size size), a tenth to a third covered."""
    field = pink(draw, draw.uniform(1.6, 2.2, count, 1), size)
    return ((field - draw.uniform(0.5, 1.3, count, 1, 1, 1)) * 60).sigmoid()


def _axes(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pixel coordinates from the centre: (1 s 1) down, (1 1 s) to the right."""
    axis = torch.arange(size, device=device) - (size - 1) / 2
    return axis[None, :, None], axis[None, None]
