"""Draws what the registry shows of the pack: its icon and its banner.

    python -m svd_nodes.tools.registry_pictures OUT_FOLDER

The icon is a lighthouse whose beam is the sign for play. The banner is the bundled picture, and the frames it becomes.
Everything is drawn three times as large and made smaller, which smooths the edges.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

PICTURE = Path(__file__).resolve().parents[1] / "web" / "pictures" / "lighthouse.png"
ICON, BANNER = (400, 400), (1260, 540)  # pixels; the registry takes icons up to 400 x 400, and banners of 21:9
LARGER = 3

NIGHT, DUSK, GLOW = (16, 24, 52), (52, 74, 128), (240, 158, 96)  # the sky from above to the horizon
SEA, ROCK, WHITE, RED, LAMP = (20, 40, 78), (12, 18, 38), (246, 243, 236), (206, 58, 50), (255, 209, 102)

Colour = tuple[int, int, int]
Point = tuple[float, float]


def sky(size: tuple[int, int], stops: Sequence[tuple[float, Colour]]) -> Image.Image:
    """A picture that goes from colour to colour downwards. stops: (height in 0..1, colour)."""
    width, height = size
    at = np.linspace(0, 1, height)
    places = [place for place, _ in stops]
    rows = np.stack([np.interp(at, places, [colour[channel] for _, colour in stops]) for channel in range(3)], axis=-1)
    return Image.fromarray(np.broadcast_to(rows[:, None], (height, width, 3)).round().astype(np.uint8))


def scaled(*points: Point) -> list[Point]:
    return [(x * LARGER, y * LARGER) for x, y in points]


def rounded(draw: ImageDraw.ImageDraw, corners: Sequence[Point], radius: float, colour: Colour) -> None:
    """A polygon with round corners: a smaller one, and a thick line around it."""
    centre = np.mean(corners, axis=0)
    inner = []
    for corner in np.asarray(corners):
        towards = centre - corner
        inner.append(tuple(corner + towards / np.linalg.norm(towards) * 2 * radius))
    points = scaled(*inner)
    draw.polygon(points, fill=colour)
    draw.line([*points, *points[:2]], fill=colour, width=round(2 * radius * LARGER), joint="curve")


def lighthouse(draw: ImageDraw.ImageDraw, x: float, foot: float, lamp: float) -> None:
    """The tower on x, from `foot` up to the lamp's height."""
    top = lamp + 17

    def half_width(y: float) -> float:
        return 18 + 11 * (y - top) / (foot - top)

    def band(above: float, below: float, colour: Colour) -> None:
        a, b = half_width(above), half_width(below)
        draw.polygon(scaled((x - a, above), (x + a, above), (x + b, below), (x - b, below)), fill=colour)

    edges = np.linspace(top, foot, 6)
    for number, (above, below) in enumerate(itertools.pairwise(edges)):
        band(float(above), float(below), WHITE if number % 2 == 0 else RED)
    draw.rectangle(scaled((x - 14, lamp - 14), (x + 14, lamp + 12)), fill=LAMP)
    draw.rounded_rectangle(scaled((x - 26, lamp + 10), (x + 26, lamp + 18)), radius=3 * LARGER, fill=ROCK)
    draw.pieslice(scaled((x - 20, lamp - 34), (x + 20, lamp + 8)), 180, 360, fill=RED)
    draw.ellipse(scaled((x - 4, lamp - 41), (x + 4, lamp - 33)), fill=RED)


def icon() -> Image.Image:
    """The lighthouse in the evening."""
    size = (ICON[0] * LARGER, ICON[1] * LARGER)
    image = sky(size, [(0, NIGHT), (0.5, DUSK), (0.76, GLOW), (1, GLOW)])
    draw = ImageDraw.Draw(image)
    x, lamp, foot = 296, 148, 318
    draw.rectangle(scaled((0, 306), (400, 400)), fill=SEA)

    glow = Image.new("L", size)
    rounded_beam = [(62.0, 36.0), (62.0, 260.0), (x - 18.0, 148.0)]
    ImageDraw.Draw(glow).polygon(scaled(*rounded_beam), fill=110)
    image.paste(LAMP, mask=glow.filter(ImageFilter.GaussianBlur(18 * LARGER)))
    rounded(draw, rounded_beam, 12, LAMP)

    for y, left, right in ((330, 40, 150), (352, 96, 216), (374, 24, 128)):  # the lamp's light on the water
        draw.rounded_rectangle(scaled((left, y), (right, y + 7)), radius=3 * LARGER, fill=DUSK)
    draw.ellipse(scaled((190, 298), (520, 520)), fill=ROCK)
    lighthouse(draw, x, foot, lamp)

    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius=72 * LARGER, fill=255)
    image.putalpha(mask)
    return image.resize(ICON, Image.Resampling.LANCZOS)


def card(picture: Image.Image, width: int, height: int) -> Image.Image:
    """A picture with round corners and a thin light edge."""
    image = picture.resize((width * LARGER, height * LARGER), Image.Resampling.LANCZOS).convert("RGBA")
    mask = Image.new("L", image.size)
    box = (0, 0, image.width - 1, image.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius=14 * LARGER, fill=255)
    ImageDraw.Draw(image).rounded_rectangle(box, radius=14 * LARGER, outline=WHITE, width=3 * LARGER)
    image.putalpha(mask)
    return image


def wire(draw: ImageDraw.ImageDraw, start: Point, end: Point) -> None:
    """A graph's wire between two sockets."""
    bend = 0.6 * (end[0] - start[0])
    a, b, c, d = map(np.array, (start, (start[0] + bend, start[1]), (end[0] - bend, end[1]), end))
    for t in np.linspace(0, 1, 400):
        dot(draw, (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d, 3.5, LAMP)
    for socket in (start, end):
        dot(draw, socket, 12, NIGHT)
        dot(draw, socket, 9, LAMP)


def dot(draw: ImageDraw.ImageDraw, centre: Sequence[float], radius: float, colour: Colour) -> None:
    x, y = centre
    draw.ellipse(scaled((x - radius, y - radius), (x + radius, y + radius)), fill=colour)


def film(image: Image.Image, picture: Image.Image, x: int, y: int) -> None:
    """A strip of film that runs out of the image on the right. On it the camera moves along and comes nearer."""
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle(scaled((x, y), (BANNER[0] + 40, y + 248)), radius=14 * LARGER, fill=ROCK)
    for hole in range(x + 20, BANNER[0], 36):
        for row in (y + 12, y + 220):
            draw.rounded_rectangle(scaled((hole, row), (hole + 18, row + 16)), radius=4 * LARGER, fill=DUSK)
    for number in range(4):
        side = 520 - 44 * number
        left, top = 380 + 46 * number, 16 + 10 * number
        frame = card(picture.crop((left, top, left + side, top + round(side * 0.75))), 224, 168)
        image.paste(frame, ((x + 20 + 236 * number) * LARGER, (y + 40) * LARGER), frame)


def banner() -> Image.Image:
    """The bundled picture, a wire, and the frames that come out of it."""
    image = sky((BANNER[0] * LARGER, BANNER[1] * LARGER), [(0, NIGHT), (0.6, DUSK), (1, GLOW)])
    picture = Image.open(PICTURE).convert("RGB")
    still = card(picture.crop((192, 0, 960, 576)), 332, 249)
    image.paste(still, (76 * LARGER, 208 * LARGER), still)
    film(image, picture, 560, 208)
    draw = ImageDraw.Draw(image)
    wire(draw, (408, 282), (560, 384))
    draw.text((72 * LARGER, 56 * LARGER), "svd-nodes", font=ImageFont.load_default(76 * LARGER), fill=WHITE)
    line = "Stable Video Diffusion: a picture becomes a video"
    draw.text((560 * LARGER, 95 * LARGER), line, font=ImageFont.load_default(26 * LARGER), fill=WHITE)
    return image.resize(BANNER, Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OUT_FOLDER")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    icon().save(folder / "icon.png", optimize=True)
    banner().save(folder / "banner.jpg", quality=90)


if __name__ == "__main__":
    main()
