"""Putting films and pictures side by side, with a line of text under each, and saving them small.

The editor shows a help page in a panel of 220 to 290 pixels: so two cells to a row, and letters that bear being halved.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .studio import Film

CELL, GAP, LINE, BACK, INK, ACCENT = (224, 224), 6, 32, "#1b1d21", "#e8e6e0", "#e0a53a"
Cell = tuple[str, Film]


def side_by_side(cells: Sequence[Cell], size: tuple[int, int] = CELL, columns: int = 2) -> Film:
    """One film of all; the shorter ones hold their last frame."""
    length = max(len(film) for _, film in cells)
    return [_sheet([(text, film[min(t, len(film) - 1)]) for text, film in cells], size, columns) for t in range(length)]


def _sheet(cells: Sequence[tuple[str, Image.Image]], size: tuple[int, int], columns: int) -> Image.Image:
    rows = -(-len(cells) // columns)
    (width, height), pitch = size, size[1] + LINE + GAP
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * pitch - GAP), BACK)
    draw = ImageDraw.Draw(sheet)
    for i, (text, picture) in enumerate(cells):
        x, y = i % columns * (width + GAP), i // columns * pitch
        sheet.paste(picture.resize(size, Image.Resampling.LANCZOS), (x, y))
        draw.text((x + width / 2, y + height + LINE / 2), text, INK, font(20), anchor="mm")
    return sheet


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def curve(scales: Sequence[float], top: float, size: tuple[int, int]) -> Film:
    """How guidance runs over the frames, with the frame that is shown marked: one picture for each."""
    (width, height), last = size, max(len(scales) - 1, 1)
    places = [(12 + (width - 24) * t / last, height - 12 - (height - 24) * s / top) for t, s in enumerate(scales)]
    film = []
    for x, y in places:
        picture = Image.new("RGB", size, "#24272d")
        draw = ImageDraw.Draw(picture)
        draw.line(places, INK, 2)
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), ACCENT)
        film.append(picture)
    return film


def above(upper: Film, lower: Film) -> Film:
    """One film above the other, both as wide as the upper."""
    width, film = upper[0].width, []
    for one, other in zip(upper, lower, strict=True):
        other = other.resize((width, width * other.height // other.width), Image.Resampling.LANCZOS)
        both = Image.new("RGB", (width, one.height + other.height), BACK)
        both.paste(one, (0, 0))
        both.paste(other, (0, one.height))
        film.append(both)
    return film


def save(film: Film, path: Path, fps: float = 7, quality: int = 50) -> None:
    """An animated WebP that rests on its last frame for a moment, or a still one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pause = [round(1000 / fps)] * (len(film) - 1) + [900]
    motion: dict[str, Any] = (
        {"save_all": True, "append_images": film[1:], "duration": pause, "loop": 0} if len(film) > 1 else {}
    )
    film[0].save(path, quality=quality, method=6, **motion)
