"""LayerNorm of tokens and of what is still to be added to all tokens of their frame."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import launch


def layer_norm(
    x: Tensor, add: Tensor | None, weight: Tensor, bias: Tensor, eps: float, copy: Tensor | None = None
) -> Tensor:
    """x ((b t) s c), add (b t c) or None -> LayerNorm(x + add), like x. x is written into copy, where there is one.

    add may repeat itself (strides of 0) along b and t.
    """
    images, tokens, c = x.shape
    result = torch.empty_like(x)
    steps = (1, 0, 0) if add is None else (add.shape[1], add.stride(0), add.stride(1))
    width = triton.next_power_of_2(c)
    warps = 1 if copy is None else 2  # of 1024 values each, as fast as any at these widths
    rows = max(1024 * warps // width, 1)
    launch(_layer_norm, (triton.cdiv(tokens, rows), images))(
        x, x if add is None else add, weight, bias, result, result if copy is None else copy, tokens, c, *steps, eps,
        ADDS=add is not None, COPIES=copy is not None, ROWS=rows, WIDTH=width, num_warps=warps,
    )  # fmt: skip
    return result


@triton.jit(do_not_specialize=["tokens", "frames"])
def _layer_norm(
    x, add, weight, bias, result, copy, tokens, c, frames, clip_stride, frame_stride, eps,
    ADDS: tl.constexpr, COPIES: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(1)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.arange(0, WIDTH)
    inside = (channel < c)[None, :]
    there = (row < tokens)[:, None] & inside
    place = image.to(tl.int64) * tokens * c + row[:, None] * c + channel[None, :]
    loaded = tl.load(x + place, there, 0.0)
    if COPIES:
        tl.store(copy + place, loaded, there)
    value = loaded.to(tl.float32)
    if ADDS:
        add += image // frames * clip_stride + image % frames * frame_stride
        value += tl.load(add + channel, channel < c, 0.0).to(tl.float32)[None, :]
    mean = tl.sum(value, 1) / c
    off = tl.where(inside, value - mean[:, None], 0.0)
    factor = 1 / tl.sqrt(tl.sum(off * off, 1) / c + eps)
    scale = tl.load(weight + channel, channel < c, 0.0).to(tl.float32)[None, :]
    shift = tl.load(bias + channel, channel < c, 0.0).to(tl.float32)[None, :]
    tl.store(result + place, (off * factor[:, None] * scale + shift).to(result.dtype.element_ty), there)
