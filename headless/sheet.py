"""Contact sheets: clips as one picture, each a row of its frames, to look at without playing them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence, UnidentifiedImageError

from ..svd.errors import InputError
from .files import publish, unfinished_file

GAP = 4  # pixels between frames


def write_sheet(clips: Sequence[Path], output: Path, columns: int, overwrite: bool) -> Path:
    """Writes a PNG with `columns` frames of every clip, evenly spaced from the first to the last; returns where it is.

    Raises:
        InputError: a clip is no film that can be read, or the output is no PNG.
    """
    if output.suffix.lower() != ".png":
        raise InputError(f"{output} is not a .png: a contact sheet is a PNG.")
    rows = [_row(_frames(clip), columns) for clip in clips]
    width, height = max(row.width for row in rows), sum(row.height + GAP for row in rows) - GAP
    sheet = Image.new("RGB", (width, height), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + GAP
    with unfinished_file(output) as part:
        sheet.save(part, format="PNG", optimize=True)
        return publish(part, output, overwrite)


def _row(frames: Sequence[Image.Image], columns: int) -> Image.Image:
    chosen = [frames[round(i)] for i in np.linspace(0, len(frames) - 1, min(columns, len(frames)))]
    width, height = chosen[0].size
    row = Image.new("RGB", (len(chosen) * (width + GAP) - GAP, height), "white")
    for i, frame in enumerate(chosen):
        row.paste(frame, (i * (width + GAP), 0))
    return row


def _frames(clip: Path) -> list[Image.Image]:
    """A film's frames; an animated picture's too."""
    import av

    if not clip.is_file():
        raise InputError(f"There is no clip at {clip}.")
    try:
        if clip.suffix.lower() in (".webp", ".png", ".gif"):
            with Image.open(clip) as picture:
                return [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
        with av.open(str(clip)) as film:
            frames = [frame.to_image() for frame in film.decode(video=0)]
    except (av.FFmpegError, UnidentifiedImageError, IndexError) as error:
        raise InputError(f"{clip} cannot be read as a clip: give an .mp4 or .webp.") from error
    if not frames:
        raise InputError(f"{clip} holds no frames: give an .mp4 or .webp.")
    return frames
