"""The pictures of the help pages: for each, what is set side by side."""

from collections.abc import Callable, Sequence

from PIL import Image

from ...svd import clip_generators, draw_noise, guidance_scale
from .layout import BACK, CELL, Cell, above, curve, side_by_side
from .studio import Film, Settings, Studio, quickstart, to_pictures

PLAYED_FPS = 15
Guided = tuple[str, float, float]  # shape, min_guidance, max_guidance


def result(studio: Studio) -> Film:
    """The picture, and the clip that the quickstart makes of it."""
    return side_by_side([("the picture", _fitted(studio)), ("the video", studio.film(**quickstart()))])


def fit(studio: Studio) -> Film:
    """A wide picture brought to a square in the three ways."""
    ways = [(way, to_pictures(studio.fitted(256, 256, way))) for way in ("crop", "pad", "stretch")]
    wide = Image.new("RGB", (256, 256), BACK)
    wide.paste(studio.picture.resize((256, 144), Image.Resampling.LANCZOS), (0, 56))
    return side_by_side([("the picture", [wide]), *ways])


def clip(studio: Studio) -> Film:
    """What CLIP sees of a wide picture here, and what is left of it where its middle is cropped out."""
    wide = studio.fitted(448, 256)
    squashed, middle = studio.fitted(224, 224, "stretch"), studio.fitted(224, 224)
    cells: list[Cell] = [("here", to_pictures(squashed)), ("in core", to_pictures(middle))]
    return side_by_side([("the picture", [_inscribed(to_pictures(wide)[0])]), *cells], (150, 150), columns=3)


def motion(studio: Studio) -> Film:
    return side_by_side([(f"bucket {n}", studio.film(motion_bucket_id=n)) for n in (16, 64, 128, 220)])


def fps(studio: Studio) -> Film:
    """One video at four speeds, on a common clock. (What the miniature makes of the number itself hardly shows.)"""
    film, moments = studio.film(), range(2 * PLAYED_FPS)
    speeds = [(f"fps {n}", [film[t * n // PLAYED_FPS % len(film)] for t in moments]) for n in (4, 7, 10, 15)]
    return side_by_side(speeds)


def augmentation(studio: Studio) -> Film:
    """Left what the VAE is given, right what becomes of it."""
    picture, noise = studio.fitted(256, 256), draw_noise(clip_generators(0, 1), 1, 3, 256, 256)
    cells: list[Cell] = []
    for strength in (0.0, 0.02, 0.1, 0.3):
        cells.append((f"with {strength:g} noise", to_pictures(picture + strength * noise / 2)))
        cells.append(("the video", studio.film(noise_aug_strength=strength)))
    return side_by_side(cells)


def guidance(studio: Studio) -> Film:
    return _guided(studio, [("linear", 1, 3), ("triangle", 1, 3), ("constant", 1, 3), ("constant", 1, 1)])


def burnt(studio: Studio) -> Film:
    """Too much guidance at the end, and the two remedies: less of it, or a triangle."""
    return _guided(studio, [("linear", 1, 10), ("linear", 1, 5), ("linear", 1, 2), ("triangle", 1, 10)])


def seeds(studio: Studio) -> Film:
    return side_by_side([(f"seed {n}", studio.film(seed=n)) for n in (0, 1, 2, 3)])


def steps(studio: Studio) -> Film:
    cells: list[Cell] = [(f"karras {n}", studio.film(steps=n)) for n in (5, 12, 25)]
    return side_by_side([*cells, ("align-your-steps 10", studio.film(steps=10, schedule="align-your-steps"))])


def chunks(studio: Studio) -> Film:
    """One latent, decoded in chunks of these lengths: a detail, enlarged."""
    box = (160, 16, 256, 112)
    cells = [(n, studio.film(frames_per_chunk=n)) for n in (14, 7, 2, 1)]
    return side_by_side([(f"chunks of {n}", [f.crop(box) for f in film]) for n, film in cells])


def _guided(studio: Studio, shown: Sequence[Guided]) -> Film:
    """Each clip under the curve of its guidance."""
    top, cells = max(high for _, _, high in shown), list[Cell]()
    for shape, low, high in shown:
        scales = guidance_scale(shape, low, high, Settings.frames).tolist()
        film = studio.film(guidance=shape, min_guidance=float(low), max_guidance=float(high))
        text = f"{shape} {high:g}" if shape == "constant" else f"{shape} {low:g} to {high:g}"
        cells.append((text, above(curve(scales, top, (CELL[0], 64)), film)))
    return side_by_side(cells, (CELL[0], CELL[1] + 64))


def _fitted(studio: Studio) -> Film:
    return to_pictures(studio.fitted(256, 256))


def _inscribed(picture: Image.Image) -> Image.Image:
    """The whole of a wide picture in the middle of a square."""
    square = Image.new("RGB", (picture.width, picture.width), BACK)
    square.paste(picture, (0, (picture.width - picture.height) // 2))
    return square


PAGES: dict[str, Callable[[Studio], Film]] = {
    make.__name__: make
    for make in (result, fit, clip, motion, fps, augmentation, guidance, burnt, seeds, steps, chunks)
}
