"""What `generate` can be told, and what of it can be refused at once: before torch is imported and anything is read."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..nodes.host.folders import default_folders, find_checkpoint
from ..svd.errors import InputError

if TYPE_CHECKING:
    from .films import Kind

DEVICES = ("cpu", "cuda", "mps", "xpu")
LIMITS = {  # with their least and their most; the nodes' are the same
    "width": (8, 8192), "height": (8, 8192), "frames": (1, 1024), "steps": (1, 1000), "decode_chunk": (1, 1024),
    "fps": (1, 120), "motion_bucket": (0, 1023), "seed": (0, 2**64 - 1),
    "min_guidance": (0, 100), "max_guidance": (0, 100), "noise_aug": (0, 10),
}  # fmt: skip


@dataclass(frozen=True)
class Request:
    """Everything `generate` can be told. Sizes in pixels.

    None is what the checkpoint is at its best with; for width and height, in the picture's own orientation.
    `output`, as it was typed: for one picture a film's name, or a folder that gets its frames as PNGs (with a slash at
    its end, or without a dot); for several a folder that gets NAME.mp4 of each.
    """

    pictures: tuple[Path, ...]
    output: str
    checkpoint: str = "svd_xt.safetensors"
    width: int | None = None
    height: int | None = None
    fit: str = "crop"
    frames: int | None = None
    steps: int | None = None
    schedule: str | None = None
    min_guidance: float | None = None
    max_guidance: float | None = None
    guidance: str = "linear"
    fps: Fraction | None = None
    motion_bucket: int | None = None
    noise_aug: float = 0.02
    seed: int = 0
    decode_chunk: int = 14
    pingpong: bool = False
    precision: str = "auto"
    memory: str = "auto"
    device: str | None = None
    overwrite: bool = False
    variant: str | None = None  # of a diffusers folder's files
    checkpoint_folders: tuple[Path, ...] = ()

    @property
    def targets(self) -> "list[tuple[Path, Kind]]":
        """Where the clip of each picture goes, and as what. InputError on a name that asks for nothing we write."""
        from .films import output_kind

        kind, output = output_kind(self.output), Path(self.output)
        if len(self.pictures) == 1:
            return [(output, kind)]
        if kind == "film" or (os.path.lexists(output) and not output.is_dir()):
            raise InputError(f"Several pictures need a folder for their clips, and {output} is none; give -o a folder.")
        return [(output / f"{picture.stem}.mp4", "film") for picture in self.pictures]


def check(request: Request) -> None:
    """InputError on whatever can be refused before anything is imported or read: options, names, missing files."""
    _check_numbers(request)
    check_device(request.device)
    for picture in request.pictures:
        _check_picture(picture)
    _check_targets(request)
    find(request.checkpoint, request.checkpoint_folders)


def find(checkpoint: str, folders: Sequence[Path]) -> Path:
    """The checkpoint of this name: a path, or else a name in `folders` or the usual ones. InputError if none is."""
    return find_checkpoint(checkpoint, (*folders, *default_folders()))


def _check_numbers(request: Request) -> None:
    for name, (least, most) in LIMITS.items():
        value, option = getattr(request, name), f"--{name.replace('_', '-')}"
        if value is None:
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{option} is {value}; give it a number.")
        if not least <= value <= most:
            raise InputError(f"{option} is {value}; it must be between {least} and {most}.")
    if request.guidance == "constant" and request.min_guidance is not None:
        raise InputError("With --guidance constant every frame has --max-guidance: leave --min-guidance out.")
    for name in ("width", "height"):
        if (side := getattr(request, name)) and side % 8:
            near = 8 * max(1, round(side / 8))
            raise InputError(f"--{name} is {side}, which does not divide by 8: use {near}.")


def check_device(name: str | None) -> None:
    """InputError for what torch calls no device. Whether there is such a one here, torch says later."""
    if name is not None and not re.fullmatch(rf"({'|'.join(DEVICES)})(:\d{{1,3}})?", name):
        raise no_device(name)


def no_device(name: str) -> InputError:
    hint = f"use cpu, or {', '.join(DEVICES[1:])} with such a card and a build of torch for it"
    return InputError(f'There is no device "{name}" here; {hint}.')


def frame_rate(text: str) -> Fraction:
    """Frames per second as people write them: 24, 23.976 or 24000/1001. ValueError if it is no such number."""
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?|[0-9]{1,7}/0*[1-9][0-9]{0,6}", text.strip()):
        raise ValueError(f"{text!r} is no number of frames per second; write it as 24, 23.976 or 24000/1001.")
    return Fraction(text.strip())


def _check_picture(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a picture in it.")
    if not path.is_file():
        raise InputError(f"There is no picture at {path}: check the path.")


def _check_targets(request: Request) -> None:
    from .films import check_free, check_rate

    targets = request.targets
    names = [target.name.casefold() for target, _ in targets]
    if twice := [target for target, _ in targets if names.count(target.name.casefold()) > 1]:
        raise InputError(f"Two of the pictures would become {twice[0]}; rename one, or make its clip on its own.")
    for target, kind in targets:
        for picture in request.pictures:
            if target.resolve() in (picture.resolve(), picture.resolve().parent if kind == "folder" else None):
                raise InputError(f"{target} would replace the picture {picture} that it is made of; give another -o.")
        check_free(target, request.overwrite, kind)
        if kind == "film" and request.fps is not None:
            check_rate(target.suffix, request.fps)
