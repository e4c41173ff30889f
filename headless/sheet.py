"""Contact sheets: clips as one picture, each a row of its frames, to look at without playing them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..svd.errors import InputError
from ..svd.files.publish import publish, unfinished_file
from ..svd.picturefile import MOST_PIXELS
from .clipfile import frames
from .files import name_problem, prepare_folder
from .films import check_free, is_frame

GAP = 4  # pixels between frames


def write_sheet(clips: Sequence[Path], output: Path | None, columns: int, overwrite: bool) -> Path:
    """Writes a PNG with `columns` frames of every clip, evenly spaced from the first to the last.

    clips: films, animated pictures, or folders of the frames that `generate` writes.
    output: None for NAME_sheet.png beside the first clip.
    Returns: where it is: `output`, or the next free number of it if that was made meanwhile (see `publish`).
    Raises:
        InputError: a clip is no film that can be read, or the output is no PNG, is there, or cannot be written.
    """
    for clip in clips:
        if not clip.is_file() and not (clip.is_dir() and any(map(is_frame, clip.iterdir()))):
            raise InputError(
                f"{clip} is a folder: give the clips in it." if clip.is_dir() else f"There is no clip at {clip}."
            )
    first = clips[0] if clips[0].name else clips[0].resolve()
    output = output or first.with_name(f"{first.name if first.is_dir() else first.stem}_sheet.png")
    if output.suffix.lower() != ".png":
        raise InputError(f"{output} is not a .png: a contact sheet is a PNG.")
    if sentence := name_problem(Path(output.name)):
        raise InputError(sentence)
    if {output.resolve(), output.resolve().parent} & {clip.resolve() for clip in clips}:
        raise InputError(f"{output} is one of the clips, or a frame of one; choose another name.")
    check_free(output, overwrite)
    rows = [_row(clip, columns) for clip in clips]
    width, height = max(row.width for row in rows), sum(row.height + GAP for row in rows) - GAP
    sheet = Image.new("RGB", (width, height), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height + GAP
    prepare_folder(output.absolute().parent)
    with unfinished_file(output) as part:
        sheet.save(part, format="PNG", optimize=True)
        return publish(part, output, overwrite)


def _row(clip: Path, columns: int) -> Image.Image:
    """Reads the clip twice, so that of a long one no more is held than what is shown."""
    count = sum(1 for _ in frames(clip))
    if not count:
        raise InputError(f"{clip} holds no frames: give an .mp4 or .webp.")
    wanted = {round(i) for i in np.linspace(0, count - 1, min(columns, count))}
    chosen: list[Image.Image] = []
    for i, frame in enumerate(frames(clip)):
        if len(wanted) * frame.width * frame.height > MOST_PIXELS:
            raise InputError(f"{len(wanted)} frames of {clip} are too large for a contact sheet: use fewer --columns.")
        if i in wanted:
            chosen.append(frame if not chosen else frame.resize(chosen[0].size))
    width, height = chosen[0].size
    row = Image.new("RGB", (len(chosen) * (width + GAP) - GAP, height), "white")
    for i, frame in enumerate(chosen):
        row.paste(frame, (i * (width + GAP), 0))
    return row
