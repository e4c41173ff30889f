"""Options that several commands have, and the choices of those that have some."""

from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer

from .request import LIMITS, frame_rate


class Fit(StrEnum):
    crop = "crop"
    pad = "pad"
    stretch = "stretch"


class Schedule(StrEnum):
    karras = "karras"
    align_your_steps = "align-your-steps"


class Guidance(StrEnum):
    linear = "linear"
    triangle = "triangle"
    constant = "constant"


class Precision(StrEnum):
    auto = "auto"
    fp16 = "fp16"
    bf16 = "bf16"
    fp32 = "fp32"


class Memory(StrEnum):
    auto = "auto"
    fast = "fast"
    balanced = "balanced"
    low = "low"


class Layout(StrEnum):
    single = "single"
    diffusers = "diffusers"


ENDINGS = ".mp4, .webp, .gif, .webm, .mov or .apng"
CHECKPOINT = "A .safetensors file or a diffusers folder: a path, or else a name in a checkpoints folder."
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoints",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="A folder to look for the checkpoint's name in first; may be repeated.",
    ),
]
Variant = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which files of a diffusers folder: fp16, say. Default: the plain ones, else the only ones there are.",
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1. Default: the first card, else the CPU.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]


def within(name: str, help: str, **more: Any) -> Any:
    """An option with a number's limits."""
    least, most = LIMITS[name]
    return typer.Option(min=least, max=most, help=help, **more)


def rate(text: str) -> Fraction:
    try:
        return frame_rate(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
