"""Where frames go: a film, in the format that its name asks for, or a folder of PNGs.

Frames are `t h w c` in 0..1, c = 3 or 4. They are rounded to 8 bits, where the editor cuts off.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..svd.errors import InputError, NonFiniteError
from ..svd.files.names import is_staging
from ..svd.files.publish import publish, publish_folder, unfinished_file, unfinished_folder
from ..svd.files.staging import staging, sweep
from . import encoders
from .encoders import Metadata, Pixels
from .files import name_problem

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["film", "folder"]


@dataclass(frozen=True)
class Format:
    """A kind of film."""

    encode: Callable[..., None]  # (path, pixels, fps, metadata), and its own settings
    side: int = 2**31 - 1  # pixels; the most of width and height
    fastest: int = 65535  # frames per second
    alpha: bool = False


FORMATS = {
    ".mp4": Format(encoders.encode_mp4, side=16384),
    ".mov": Format(encoders.encode_mov, side=16384),
    ".webm": Format(encoders.encode_webm, side=16384, fastest=1000),
    ".webp": Format(encoders.encode_webp, side=16383, fastest=1000, alpha=True),
    ".gif": Format(encoders.encode_gif, side=65535),
    ".apng": Format(encoders.encode_apng, alpha=True),
}
FILM_ENDINGS: tuple[str, ...] = tuple(FORMATS)


# ---- before the work


def output_kind(path: str | Path) -> Kind:
    """What a name asks for. A folder is one that is there, has a slash at its end, or has no dot in its name.

    path: as it was typed; a `Path` has lost the slash.
    Raises:
        InputError: it asks for a film of an unknown format, or nobody could have such a name.
    """
    text, name = str(path), Path(path).name
    if sentence := name_problem(Path(name)):
        raise InputError(sentence)
    if Path(path).is_dir() or text.endswith(("/", os.sep)):
        return "folder"
    if name.lower() in FORMATS:
        raise InputError(f"{text} has nothing before its ending; give it a name, such as clip{name}.")
    suffix = Path(path).suffix
    if suffix and suffix.lower() not in FORMATS:
        raise InputError(
            f"{text} is not {', '.join(FILM_ENDINGS)} or a folder; choose one of these. "
            "A folder with a dot in its name has to be made first, or written with a slash at its end."
        )
    return "film" if suffix else "folder"


def check_free(path: Path, overwrite: bool, kind: Kind = "film") -> None:
    """InputError if something is there that is not to be replaced, or cannot be. A dead run's leftovers are nothing.

    kind: what is to be written; "film" stands for any single file.
    """
    for home in (path, path.absolute().parent):
        sweep(home)
    if kind == "folder" and path.is_dir():
        entries = [entry for entry in path.iterdir() if not is_staging(entry)]
        if not entries:
            return
        is_replaceable = all(map(is_frame, entries))
    elif os.path.lexists(path):
        is_replaceable = kind == "film" and path.is_file()
    else:
        return
    if not is_replaceable:
        raise InputError(f"{path} is there and holds something else; choose another name.")
    if not overwrite:
        raise InputError(f"{path} exists already; choose another name, or replace it with --overwrite.")


def check_side(suffix: str, width: int, height: int) -> None:
    """InputError when a format has no room for this size. Folders (no suffix) have room for any."""
    kind = FORMATS.get(suffix.lower())
    if kind and max(width, height) > kind.side:
        raise InputError(
            f"A {suffix} film can be {kind.side} pixels wide and high, and this one is {width} x {height}; "
            "make it smaller or save PNG frames."
        )


def check_rate(suffix: str, fps: Fraction | float) -> None:
    """InputError when a format cannot be played at this rate, in frames per second."""
    kind = FORMATS.get(suffix.lower())
    if kind and not 0 < fps <= kind.fastest:
        raise InputError(
            f"A {suffix} film has more than 0 and up to {kind.fastest} frames per second, and this one {float(fps):g}; "
            "choose another rate or another format."
        )


# ---- frames


def pingpong(frames: "Tensor") -> "Tensor":
    """Forward, then backward, neither end twice, so that it loops without a jump: a b c d c b."""
    import torch

    return torch.cat([frames, frames[1:-1].flip(0)])


def to_bytes(frames: "Tensor") -> Pixels:
    """`t h w c` in 0..1 as bytes.

    Raises:
        NonFiniteError: a frame holds NaN or infinity.
    """
    if not frames.isfinite().all():
        raise NonFiniteError("The frames hold NaN or infinity and were not saved; try the precision fp32.")
    return (frames.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()


def is_frame(path: Path) -> bool:
    """Whether this is one of the frames that `write_frames` writes."""
    return path.is_file() and path.match("frame_[0-9][0-9][0-9][0-9][0-9].png")


# ---- writing


def write_clip(
    path: Path, kind: Kind, frames: "Tensor", fps: Fraction | float, metadata: Metadata, overwrite: bool = False
) -> Path:
    """Writes what `output_kind` found to be asked for, and returns where it is."""
    if kind == "film":
        return write_film(path, frames, fps, metadata, overwrite)
    return write_frames(path, frames, metadata, overwrite)


def write_film(
    path: Path,
    frames: "Tensor",
    fps: Fraction | float,
    metadata: Metadata,
    overwrite: bool = False,
    **settings: Any,
) -> Path:
    """Writes a film in the format of its ending, whole or not at all, and returns where it is (see `publish`).

    settings: the encoder's own.
    Raises:
        InputError: the format has no room for the size or the rate.
        NonFiniteError: a frame holds NaN or infinity.
    """
    kind = FORMATS[path.suffix.lower()]
    pixels = to_bytes(frames if kind.alpha else frames[..., :3])
    check_side(path.suffix, pixels.shape[2], pixels.shape[1])
    check_rate(path.suffix, fps)
    with unfinished_file(path) as part:
        kind.encode(part, pixels, frame_rate(fps), metadata, **settings)
        return publish(part, path, overwrite)


def frame_rate(fps: Fraction | float) -> Fraction:
    """The rate as it was written: 0.1 is a tenth, and not the float beside it."""
    return (fps if isinstance(fps, Fraction) else Fraction(str(fps))).limit_denominator(10**6)


def write_frames(folder: Path, frames: "Tensor", metadata: Metadata, overwrite: bool = False) -> Path:
    """Writes frame_00001.png, ... into a folder, all or none, and returns where they are (see `publish_folder`).

    overwrite: the frames of before are replaced, and whatever else is there stays.
    """
    pixels = to_bytes(frames)
    with unfinished_folder(folder) as part:
        for number, frame in enumerate(pixels, 1):
            encoders.encode_png(part / f"frame_{number:05}.png", frame, metadata)
        return publish_folder(part, folder, overwrite, is_frame)


def write_pngs(paths: Sequence[Path], frames: "Tensor", metadata: Metadata) -> list[Path]:
    """Writes a PNG of each frame under names of one folder, and returns where they are. None is there before all are
    written."""
    pixels = to_bytes(frames)
    with staging(paths[0].parent) as folder:
        parts = [folder / path.name for path in paths]
        for part, frame in zip(parts, pixels, strict=True):
            encoders.encode_png(part, frame, metadata)
        return [publish(part, path) for part, path in zip(parts, paths, strict=True)]
