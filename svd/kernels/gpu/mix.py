"""The sum of two feature maps with learned shares, and of a vector for every segment, in one pass."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import launch

ROWS, CHANNELS = 64, 64  # of a tile


def mix(x: Tensor, y: Tensor, x_share: Tensor, y_share: Tensor, add: Tensor | None, c: int) -> Tensor:
    """x_share x + y_share y + add; shares are single numbers on the card.

    x and y lie alike in memory, c the fastest dimension; add is (segments, c), its segments dividing the rest in order.
    """
    segments = 1 if add is None else len(add)
    rows = x.numel() // (segments * c)
    result = torch.empty_like(x)
    launch(_mix, (triton.cdiv(rows, ROWS), triton.cdiv(c, CHANNELS), segments))(
        x, y, x_share, y_share, x if add is None else add, result, c, rows,
        ADDS=add is not None, ROWS=ROWS, CHANNELS=CHANNELS,
    )  # fmt: skip
    return result


@triton.jit(do_not_specialize=["rows"])
def _mix(
    x, y, x_share, y_share, add, result, c, rows,
    ADDS: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    segment = tl.program_id(2)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there = (row < rows)[:, None] & (channel < c)[None, :]
    place = segment.to(tl.int64) * rows * c + row[:, None].to(tl.int64) * c + channel[None, :]
    total = tl.load(x + place, there, 0.0).to(tl.float32) * tl.load(x_share)
    total += tl.load(y + place, there, 0.0).to(tl.float32) * tl.load(y_share)
    if ADDS:
        total += tl.load(add + segment * c + channel, channel < c, 0.0).to(tl.float32)[None, :]
    tl.store(result + place, total.to(result.dtype.element_ty), there)
