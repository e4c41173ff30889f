"""Attention among the frames at each place, reading the tokens where they lie: one small program a place and head."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import launch

MOST_FRAMES = 64
WIDTHS = (16, 32, 64, 128)  # of a head


def temporal_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, frames: int) -> Tensor:
    """(b t) s (h d) -> (b t) s (h d); q, k and v have the same strides, their last 1."""
    images, places, c = q.shape
    result = torch.empty(images, places, c, device=q.device, dtype=q.dtype)
    width = c // heads
    launch(_attend, (places * heads, images // frames))(
        q, k, v, result, heads, frames, places, q.stride(0), q.stride(1), width**-0.5 * 1.4426950408889634,
        WIDTH=width, FRAMES=max(triton.next_power_of_2(frames), 16), num_warps=1 if frames <= 32 else 4,
    )  # fmt: skip
    return result


@triton.jit(do_not_specialize=["heads", "frames", "places"])
def _attend(
    q, k, v, result, heads, frames, places, image_stride, place_stride, scale,
    WIDTH: tl.constexpr, FRAMES: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) // heads
    column = (tl.program_id(0) % heads) * WIDTH + tl.arange(0, WIDTH)
    frame = tl.arange(0, FRAMES)
    image = (tl.program_id(1) * frames + frame).to(tl.int64)
    there = (frame < frames)[:, None]
    at = image[:, None] * image_stride + place * place_stride + column[None, :]
    queries = tl.load(q + at, there, 0.0)
    keys = tl.load(k + at, there, 0.0)
    values = tl.load(v + at, there, 0.0)
    score = tl.dot(queries, tl.trans(keys)) * scale  # in units of log2
    score = tl.where((frame < frames)[None, :], score, float("-inf"))
    weight = tl.exp2(score - tl.max(score, 1)[:, None])
    mixed = tl.dot(weight.to(values.dtype), values) / tl.sum(weight, 1)[:, None]
    to = (image * places + place)[:, None] * (heads * WIDTH) + column[None, :]
    tl.store(result + to, mixed.to(result.dtype.element_ty), there)
