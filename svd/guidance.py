"""Classifier-free guidance with its own scale for every frame.

SVD guides the first frames, which the picture pins down, less than the last: a ramp over the clip (arXiv:2311.15127,
appendix D). SV3D, whose orbit comes back to the picture, uses a triangle (arXiv:2403.12008).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .errors import InputError

FP32: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are


def linear(minimum: float, maximum: float, frames: int) -> Tensor:
    """From `minimum` at the first frame to `maximum` at the last. (frames,)"""
    return torch.linspace(minimum, maximum, frames, **FP32)


def triangle(minimum: float, maximum: float, frames: int) -> Tensor:
    """From `minimum` up to `maximum` half-way and back: w = 2 |v - floor(v + 1/2)| for v in 0..1. (frames,)"""
    v = torch.linspace(0, 1, frames, **FP32)
    return minimum + (maximum - minimum) * 2 * (v - (v + 0.5).floor()).abs()


def constant(minimum: float, maximum: float, frames: int) -> Tensor:
    """`maximum` at every frame; `minimum` is not used. (frames,)"""
    return torch.full((frames,), float(maximum), **FP32)


SHAPES: dict[str, Callable[[float, float, int], Tensor]] = {
    "linear": linear,
    "triangle": triangle,
    "constant": constant,
}


def guidance_scale(shape: str, minimum: float, maximum: float, frames: int) -> Tensor:
    """The scale of every frame, (frames,) fp32, of one of SHAPES. InputError on an unknown shape or no frames."""
    if shape not in SHAPES:
        raise InputError(f"Guidance '{shape}' is unknown: choose one of {', '.join(SHAPES)}.")
    if frames < 1:
        raise InputError(f"frames is {frames}: a clip has at least 1 frame.")
    return SHAPES[shape](minimum, maximum, frames)


def per_frame(value: float | Tensor, clips: int, frames: int) -> Tensor:
    """A scale as people write it, for every frame of every clip: (clips, frames) fp32.

    value: a number, (t), (b t), or with further sides of 1, as diffusers keeps it. As there, nowhere above 1 is no
    guidance at all. InputError on other shapes, and on NaN or infinity.
    """
    scale = torch.as_tensor(value, **FP32).detach()
    try:
        scale = scale.reshape(scale.shape[:2]).expand(clips, frames)
    except RuntimeError:
        shape = tuple(scale.shape)
        raise InputError(f"The guidance scale is {shape}: give a number, ({frames},) or ({clips}, {frames}).") from None
    if not scale.isfinite().all():
        raise InputError("The guidance scale holds NaN or infinity: give numbers such as 1 to 3.")
    return scale if scale.max() > 1 else torch.ones_like(scale)


def guide(uncond: Tensor, cond: Tensor, scale: Tensor) -> Tensor:
    """Away from the unconditional prediction, through the conditional one: u + scale (c - u)."""
    return uncond + scale * (cond - uncond)
