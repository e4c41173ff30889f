"""The sum of two feature maps with learned shares, and of a vector for every segment, in one pass."""

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, CHANNELS = 64, 64  # of a tile


def mix(x: Tensor, y: Tensor, x_share: Tensor | None, y_share: Tensor | None, add: Tensor | None, c: int) -> Tensor:
    """x_share x + y_share y + add; shares are single numbers on the card, None for 1.

    x and y lie alike in memory, c the fastest dimension; add is (segments, c), its segments dividing the rest in order.
    """
    segments = 1 if add is None else len(add)
    rows = x.numel() // (segments * c)
    result = torch.empty_like(x)
    _mix[(triton.cdiv(rows, ROWS), triton.cdiv(c, CHANNELS), segments)](
        x, y, x if x_share is None else x_share, y if y_share is None else y_share, x if add is None else add, result,
        c, rows, X_SHARE=x_share is not None, Y_SHARE=y_share is not None, ADDS=add is not None,
        ROWS=ROWS, CHANNELS=CHANNELS,
    )  # fmt: skip
    return result


@triton.jit(do_not_specialize=["rows"])
def _mix(
    x, y, x_share, y_share, add, result, c, rows,
    X_SHARE: tl.constexpr, Y_SHARE: tl.constexpr, ADDS: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    segment = tl.program_id(2)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there = (row < rows)[:, None] & (channel < c)[None, :]
    place = segment.to(tl.int64) * rows * c + row[:, None].to(tl.int64) * c + channel[None, :]
    a = tl.load(x + place, there, 0.0).to(tl.float32)
    b = tl.load(y + place, there, 0.0).to(tl.float32)
    if X_SHARE:
        a *= tl.load(x_share)
    if Y_SHARE:
        b *= tl.load(y_share)
    total = a + b
    if ADDS:
        total += tl.load(add + segment * c + channel, channel < c, 0.0).to(tl.float32)[None, :]
    tl.store(result + place, total.to(result.dtype.element_ty), there)
