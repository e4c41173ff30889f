"""Looking at a checkpoint, and writing it in the other layout."""

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch

from ..nodes.host.standalone import advising
from ..svd.checkpoint import Checkpoint, check, load, open_checkpoint, save
from ..svd.errors import InputError
from ..svd.picturefile import describe
from ..svd.pretrained import Scheduler
from ..svd.saving import check_target

FAMILIES = {"svd": "Stable Video Diffusion", "sv3d_u": "SV3D_u (orbit)", "sv3d_p": "SV3D_p (orbit with a camera path)"}
LAYOUTS = {"single": "single file", "diffusers": "diffusers folder"}
PRECISIONS = {"F16": "fp16", "BF16": "bf16", "F32": "fp32"}
OTHER_KINDS = {".json": "a workflow or another JSON file", ".mp4": "a video", ".webm": "a video", ".mov": "a video"}
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class PartReport:
    """One network of a checkpoint."""

    name: str
    tensors: int
    parameters: int
    precision: str


@dataclass(frozen=True)
class Report:
    """What a checkpoint is. `frames_hint` comes from a config or the file's name, not from the weights."""

    path: Path
    family: str
    layout: str
    decoder: str
    frames_hint: int | None
    wrapper: str  # what a training program put before the tensors' names, "" for nothing
    parts: tuple[PartReport, ...]
    missing: tuple[str, ...]  # one sentence for each network that the file does not fill

    def to_json(self) -> dict[str, Any]:
        parts = {part.name: {k: v for k, v in vars(part).items() if k != "name"} for part in self.parts}
        return {**vars(self), "path": str(self.path), "parts": parts, "missing": list(self.missing)}


def opened(path: Path, variant: str | None = None) -> Checkpoint:
    """The checkpoint's header. InputError if it is missing, damaged, no SVD checkpoint, or parametrised otherwise."""
    try:
        checkpoint = open_checkpoint(path, variant)
    except InputError:
        if what := _other_kind(path):
            raise InputError(f"{path} is {what}, not a checkpoint; give one such as svd_xt.safetensors.") from None
        raise
    if checkpoint.layout == "diffusers":
        Scheduler.from_folder(checkpoint.path)
    return checkpoint


def _other_kind(path: Path) -> str | None:
    """What people give in a checkpoint's place by mistake."""
    if not _is_file(path):
        return None
    if path.suffix.lower() in OTHER_KINDS:
        return OTHER_KINDS[path.suffix.lower()]
    return describe(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, say
        return False


def inspect(path: Path, variant: str | None = None) -> Report:
    """Reads a checkpoint's header and says what it is. `load` takes it exactly if nothing is missing, but for NaN.

    variant: of a diffusers folder, "fp16" say.
    Raises:
        InputError: it is missing, damaged, or no SVD checkpoint.
    """
    checkpoint = opened(path, variant)
    parts = [
        PartReport(
            name, len(p.entries), sum(prod(e.shape) for e in p.entries.values()), PRECISIONS.get(p.dtype, p.dtype)
        )
        for name, p in checkpoint.parts.items()
    ]
    return Report(
        path=path,
        family=FAMILIES[checkpoint.family],
        layout=LAYOUTS[checkpoint.layout],
        decoder=checkpoint.decoder,
        frames_hint=checkpoint.frames,
        wrapper=checkpoint.wrapper,
        parts=tuple(parts),
        missing=tuple(misfit.sentence(path) for misfit in check(checkpoint)),
    )


def convert(
    source: Path,
    destination: Path,
    layout: Any,
    precision: str | None,
    overwrite: bool,
    variant: str | None = None,
) -> None:
    """Writes a checkpoint in another layout or precision.

    precision: None keeps the source's own; a source of several is written in fp32, which loses nothing. variant: of
        the source, if it is a diffusers folder.
    Raises:
        InputError: the source cannot be used, or the destination is there already or cannot hold the model.
        MemoryError: this machine's memory is too small for it.
    """
    checkpoint = opened(source, variant)
    if destination.exists() and not overwrite:
        raise InputError(f"{destination} exists already; choose another name, or replace it with --overwrite.")
    check_target(destination, layout, overwrite=overwrite)
    if checkpoint.layout == "diffusers" and (levels := Scheduler.from_folder(source)) != Scheduler():
        raise InputError(
            f"{source} has noise levels of its own, {levels.sigma_min:g} to {levels.sigma_max:g}, which a converted "
            "checkpoint would lose; use it as it is."
        )
    present = {entry.dtype for part in checkpoint.parts.values() for entry in part.entries.values()}
    own = PRECISIONS.get(next(iter(present)), "fp32") if len(present) == 1 else "fp32"
    dtype = DTYPES[precision or own]
    with advising("There is not enough memory to hold this checkpoint: close other programs, or use --precision fp16."):
        save(load(source, dtype=dtype, variant=variant), destination, layout, dtype, overwrite=overwrite)
