"""Copies of channels-last feature maps at the speed of memory: two maps side by side, and every place four times."""

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, CHANNELS = 64, 64  # of a tile


def concatenate(x: Tensor, y: Tensor, x_add: Tensor | None = None, y_add: Tensor | None = None) -> Tensor:
    """x + x_add beside y + y_add: (n a h w), (n b h w), with (a,) and (b,) or None -> (n a+b h w)."""
    n, a, height, width = x.shape
    b = y.shape[1]
    result = torch.empty(n, a + b, height, width, device=x.device, dtype=x.dtype, memory_format=torch.channels_last)
    rows = n * height * width
    for source, add, c, offset in ((x, x_add, a, 0), (y, y_add, b, a)):
        _place[(triton.cdiv(rows, ROWS), triton.cdiv(c, CHANNELS))](
            source, source if add is None else add, result, rows, c, a + b, offset,
            ADDS=add is not None, ROWS=ROWS, CHANNELS=CHANNELS,
        )  # fmt: skip
    return result


@triton.jit(do_not_specialize=["rows"])
def _place(
    source, add, result, rows, c, stride, offset, ADDS: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)[:, None]
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    there = (row < rows) & (channel < c)
    value = tl.load(source + row * c + channel, there, 0.0)
    if ADDS:
        value = value.to(tl.float32) + tl.load(add + channel, channel < c, 0.0).to(tl.float32)
    tl.store(result + row * stride + offset + channel, value.to(result.dtype.element_ty), there)


def upsample(x: Tensor, height: int, width: int) -> Tensor:
    """(n c h w) -> (n c height width): the place (i, j) is the input's (i // 2, j // 2)."""
    n, c, h, w = x.shape
    result = torch.empty(n, c, height, width, device=x.device, dtype=x.dtype, memory_format=torch.channels_last)
    _repeat[(n * height, triton.cdiv(width, ROWS), triton.cdiv(c, CHANNELS))](
        x, result, h, w, height, width, c, ROWS=ROWS, CHANNELS=CHANNELS
    )
    return result


@triton.jit(do_not_specialize=["h", "w", "height", "width"])
def _repeat(x, result, h, w, height, width, c, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    image, i = tl.program_id(0) // height, tl.program_id(0) % height
    j = (tl.program_id(1) * ROWS + tl.arange(0, ROWS))[:, None]
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    there = (j < width) & (channel < c)
    line = (image * h + i // 2).to(tl.int64) * w
    value = tl.load(x + (line + j // 2) * c + channel, there, 0.0)
    tl.store(result + (tl.program_id(0).to(tl.int64) * width + j) * c + channel, value, there)
