"""A pipeline call's arguments, checked before any work: each function gives the value to use or raises InputError."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from .errors import InputError
from .image import rgb, to_rgb

OUTPUT_TYPES = ("pil", "np", "pt", "latent")
StepEnd = Callable[[Any, int, Tensor, dict[str, Tensor]], dict[str, Tensor] | None]
UNDERSHOOT = 1e-3  # how far below 0 rounding may take a picture in 0..1


@dataclass(frozen=True)
class Call:
    """The arguments of one call, checked."""

    pictures: list[Image.Image] | Tensor
    size: tuple[int, int]  # width, height
    shape: tuple[int, ...]  # of the latents: b t c h/8 w/8
    videos: int  # of each picture
    schedule: Tensor
    guidance: Tensor  # (t,)
    fps: float
    motion_bucket: float
    noise_aug: float
    chunk: int | None
    generators: tuple[torch.Generator, ...]
    latents: Tensor | None
    output_type: str
    callback: StepEnd | None
    tensor_inputs: Sequence[str]


DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # that every layer computes in


def said(value: object) -> str:
    """A value as a sentence can hold it."""
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else f"a {type(value).__name__}"


def whole(name: str, value: Any, usual: str) -> int:
    """A whole number, 1 or more. usual: what to give instead."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        raise InputError(f"{name} is {said(value)}: give a whole number, 1 or more ({usual}).")
    return int(value)


def number(name: str, value: Any, least: float, usual: str) -> float:
    """A number that fp32 holds, `least` or more; also as a tensor of one."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real) or not fits(value):
        raise InputError(f"{name} is {said(value)}: give a number ({usual}).")
    if float(value) < least:
        raise InputError(f"{name} is {value}: it is {least:g} or above ({usual}).")
    return float(value)


def fits(value: Any) -> bool:
    """Whether fp32 holds it; NaN is no number. A whole number may have more digits than any float."""
    return bool(abs(value) <= torch.finfo(torch.float32).max)


def pictures(image: Any) -> list[Image.Image] | Tensor:
    """The pictures as RGB, or as a tensor (b 3 h w) in 0..1."""
    if isinstance(image, Tensor):
        image = rgb(image)
        if image.min() < -UNDERSHOOT:
            raise InputError(
                f"The picture tensor goes down to {image.min():.3g}: give floats in 0..1, which for one in -1..1 are "
                "image / 2 + 0.5, and for one that overshoots a little image.clamp(0, 1)."
            )
        return image.clamp(min=0)
    given = [image] if isinstance(image, Image.Image) else image
    if not isinstance(given, list | tuple) or not given or not all(isinstance(each, Image.Image) for each in given):
        raise InputError("image must be a PIL picture, a list of them, or a tensor of shape (b, 3, h, w) in 0..1.")
    return [to_rgb(each) for each in given]


def generators(given: Any, clips: int) -> tuple[torch.Generator, ...]:
    """None, one for all clips, or one for each."""
    several = tuple(given) if isinstance(given, list | tuple) else () if given is None else (given,)
    if wrong := [each for each in several if not isinstance(each, torch.Generator)]:
        raise InputError(f"generator is {said(wrong[0])}: give a torch.Generator, a list of them, or None.")
    if given is not None and len(several) not in (1, clips):
        raise InputError(f"There are {len(several)} generators for {clips} clips: give one, or one for each.")
    return several


def unit_latents(latents: Any, shape: tuple[int, ...]) -> Tensor | None:
    """The noise to start from, of this shape."""
    if latents is None:
        return None
    if not isinstance(latents, Tensor) or tuple(latents.shape) != shape:
        found = tuple(latents.shape) if isinstance(latents, Tensor) else said(latents)
        raise InputError(f"latents are {found}, but this call needs {shape} (b t c h w).")
    if not latents.is_floating_point() or not latents.isfinite().all():
        raise InputError("latents hold NaN, infinity or whole numbers: give unit noise, as torch.randn makes it.")
    return latents


def own_sigmas(sigmas: Iterable[Any]) -> Tensor:
    """A schedule given as numbers, its last one included."""
    try:
        schedule = torch.as_tensor(list(sigmas), dtype=torch.float32, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        schedule = torch.empty(0, device="cpu")
    usable = schedule.ndim == 1 and len(schedule) > 1 and bool(schedule.isfinite().all())
    if not usable or (schedule[:-1] <= 0).any() or schedule[-1] < 0:
        raise InputError("sigmas must be two or more numbers above 0, of which the last alone may be 0.")
    return schedule


def output_type(value: Any) -> str:
    """One of OUTPUT_TYPES."""
    if not isinstance(value, str) or value not in OUTPUT_TYPES:
        raise InputError(f"output_type {said(value)} is unknown: choose one of {', '.join(OUTPUT_TYPES)}.")
    return value


def callback(function: Any, tensor_inputs: Any) -> tuple[Callable[..., Any] | None, Sequence[str]]:
    """A function to call at the end of every step, and what it is given."""
    if function is not None and not callable(function):
        raise InputError(f"callback_on_step_end is {said(function)}: give a function, or None.")
    if not isinstance(tensor_inputs, list | tuple | set):
        raise InputError(f"callback_on_step_end_tensor_inputs is {said(tensor_inputs)}: give a list of names.")
    if unknown := [name for name in tensor_inputs if name != "latents"]:
        names = ", ".join(map(str, unknown))
        raise InputError(f"callback_on_step_end_tensor_inputs: {names} unknown: only latents.")
    return function, tuple(tensor_inputs)


def precision(torch_dtype: Any, dtype: Any) -> torch.dtype:
    """Of a new pipeline, by either name; fp32 if neither says. InputError on what is no dtype."""
    given = {name: value for name, value in (("torch_dtype", torch_dtype), ("dtype", dtype)) if value is not None}
    for name, value in given.items():
        if value not in DTYPES:
            raise InputError(f"{name} is {said(value)}: give a dtype such as torch.float16.")
    if len(set(given.values())) > 1:
        raise InputError(f"torch_dtype is {torch_dtype} and dtype {dtype}: give one of the two.")
    return next(iter(given.values()), torch.float32)
