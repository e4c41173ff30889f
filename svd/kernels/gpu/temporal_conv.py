"""A convolution over time, kernel [3, 1, 1], as one matrix product whose depth runs over the three frames it sees.

Memory is [clips, frames, places, c]. The frames of one run of places are computed one after the other, so that what
two neighbours both see is still in the cache. Optionally the result is a branch that is added, with its share, to what
it branched from.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import launch

ROWS, COLUMNS = 128, 128  # of a tile


def temporal_conv(
    x: Tensor, weight: Tensor, bias: Tensor, onto: Tensor | None = None, share: Tensor | None = None
) -> Tensor:
    """onto + share (conv(x) + bias): x (b c_in t s), weight (c_out c_in 3 1), channels-last -> (b c_out t s)."""
    clips, c_in, frames, places = x.shape
    c_out = len(weight)
    shape = (clips, c_out, frames, places)
    result = torch.empty(shape, device=x.device, dtype=x.dtype, memory_format=torch.channels_last)
    launch(_conv, (triton.cdiv(places, ROWS) * clips * frames * triton.cdiv(c_out, COLUMNS),))(
        x, weight, bias, x if onto is None else onto, x if share is None else share, result,
        c_in, c_out, frames, places, clips * frames, ONTO=onto is not None, SHARE=share is not None,
        ROWS=ROWS, COLUMNS=COLUMNS, DEPTH=64, num_warps=4,
    )  # fmt: skip
    return result


@triton.jit(do_not_specialize=["frames", "places", "images"])
def _conv(
    x, weight, bias, onto, share, result, c_in, c_out, frames, places, images,
    ONTO: tl.constexpr, SHARE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    across = tl.cdiv(c_out, COLUMNS)
    column = (tl.program_id(0) % across) * COLUMNS + tl.arange(0, COLUMNS)
    image = (tl.program_id(0) // across) % images
    row = (tl.program_id(0) // across // images) * ROWS + tl.arange(0, ROWS)
    frame = image % frames
    inner = tl.arange(0, DEPTH)
    inside = (row < places)[:, None]
    at = row[:, None] * c_in + inner[None, :]  # a frame's c_in x places stay below 2^31
    weight += tl.minimum(column, c_out - 1)[None, :] * (3 * c_in) + inner[:, None]
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    pieces = tl.cdiv(c_in, DEPTH)
    first = tl.where(frame == 0, pieces, 0)  # there is nothing before the first frame, nor after the last
    last = tl.where(frame == frames - 1, 2, 3) * pieces
    for step in range(first, last):
        tap = step // pieces
        begin = (step % pieces) * DEPTH
        left = inner < c_in - begin
        source = x + (image + tap - 1).to(tl.int64) * places * c_in + begin
        a = tl.load(source + at, inside & left[None, :], 0.0)
        b = tl.load(weight + tap * c_in + begin, left[:, None], 0.0)
        total = tl.dot(a, b, total)
    total += tl.load(bias + column, column < c_out, 0.0).to(tl.float32)[None, :]
    there = inside & (column < c_out)[None, :]
    to = image.to(tl.int64) * places * c_out + row[:, None] * c_out + column[None, :]
    if SHARE:
        total *= tl.load(share)
    if ONTO:
        total += tl.load(onto + to, there, 0.0).to(tl.float32)
    tl.store(result + to, total.to(result.dtype.element_ty), there)
