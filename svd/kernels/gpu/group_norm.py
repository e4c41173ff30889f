"""GroupNorm over channels-last memory in three kernels: moments of every segment, their merging, and the map.

The first can also write the map whose moments it takes, as the sum of two, and spares the norm a reading.

A segment is a run of rows (places) that shares what is added to it, an image say; a norm over a clip takes its
statistics over all of the clip's segments. Memory is [segments, rows, c]. Moments are the mean and the sum of squared
deviations of each channel, merged as Chan, Golub and LeVeque (1979) do: in a fixed order, and without cancellation.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS, CHANNELS = 64, 64  # of a tile
ROWS_PER_SPLIT, MOST_SPLITS = 1024, 256


def moments(x: Tensor, segments: int) -> Tensor:
    """(n c h w) channels-last -> (segments, splits, 2, c) fp32: mean and squared deviations of each split's rows."""
    return _measure(x, x, None, x, segments, sums=False)


def add_and_measure(x: Tensor, y: Tensor, add: Tensor | None) -> tuple[Tensor, Tensor]:
    """x + y + add, (n c h w) channels-last with (c,) or None, and its moments, a segment an image."""
    result = torch.empty_like(x)
    return result, _measure(x, y, add, result, len(x), sums=True)


def _measure(x: Tensor, y: Tensor, add: Tensor | None, to: Tensor, segments: int, sums: bool) -> Tensor:
    c = x.shape[1]
    rows = x.numel() // (c * segments)
    splits = min(triton.cdiv(rows, ROWS_PER_SPLIT), MOST_SPLITS)
    result = torch.empty(segments, splits, 2, c, device=x.device, dtype=torch.float32)
    _moments[(segments * splits, triton.cdiv(c, CHANNELS))](
        x, y, x if add is None else add, to, result, c, rows, triton.cdiv(rows, splits), splits,
        SUMS=sums, ADDS=add is not None, ROWS=ROWS, CHANNELS=CHANNELS,
    )  # fmt: skip
    return result


@triton.jit(do_not_specialize=["rows", "rows_per_split", "splits"])
def _moments(
    x, y, add, to, result, c, rows, rows_per_split, splits,
    SUMS: tl.constexpr, ADDS: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Of x; or of x + y + add, which is then written."""
    index = tl.program_id(0)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    segment = (index // splits).to(tl.int64) * rows * c
    x += segment
    y += segment
    to += segment
    if ADDS:
        vector = tl.load(add + channel, channel < c, 0.0).to(tl.float32)[None, :]
    begin = (index % splits) * rows_per_split
    end = tl.minimum(begin + rows_per_split, rows)
    # Counted from a value of the channel's own, so that the squares do not cancel.
    origin = tl.load(x + begin.to(tl.int64) * c + channel, channel < c, 0.0).to(tl.float32)
    if SUMS:
        origin += tl.load(y + begin.to(tl.int64) * c + channel, channel < c, 0.0).to(tl.float32)
    total = tl.zeros([ROWS, CHANNELS], tl.float32)
    squares = tl.zeros([ROWS, CHANNELS], tl.float32)
    for first in range(begin, end, ROWS):
        row = first + tl.arange(0, ROWS)
        there = (row < end)[:, None] & (channel < c)[None, :]
        place = row[:, None].to(tl.int64) * c + channel[None, :]
        value = tl.load(x + place, there, 0.0).to(tl.float32)
        if SUMS:
            value += tl.load(y + place, there, 0.0).to(tl.float32)
            if ADDS:
                value += vector
            rounded = value.to(to.dtype.element_ty)
            tl.store(to + place, rounded, there)
            value = rounded.to(tl.float32)
        off = tl.where(there, value - origin[None, :], 0.0)
        total += off
        squares += off * off
    count = (end - begin).to(tl.float32)
    off = tl.sum(total, 0) / count
    result += index.to(tl.int64) * 2 * c + channel
    tl.store(result, origin + off, channel < c)
    tl.store(result + c, tl.sum(squares, 0) - count * off * off, channel < c)


def affine(
    moments: Tensor, rows: int, clips: int, groups: int, weight: Tensor, bias: Tensor, eps: float, add: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The norm as a scale and a shift of every segment's channels, (segments, c) fp32 each.

    rows: of a segment. clips: how many statistics; segments divide among them in order. add: (segments, c) or None, to
    be added before the norm.
    """
    segments, splits, _, c = moments.shape
    scale, shift = torch.empty(2, segments, c, device=moments.device, dtype=torch.float32)
    channels = max(triton.next_power_of_2(c // groups), 16)
    _affine[(clips, groups)](
        moments, moments if add is None else add, weight, bias, scale, shift,
        c, c // groups, segments // clips, splits, rows, triton.cdiv(rows, splits), eps,
        ADDS=add is not None, SPLITS=2048 // channels, CHANNELS=channels,
    )  # fmt: skip
    return scale, shift


@triton.jit(do_not_specialize=["width", "segments", "splits", "rows", "rows_per_split"])
def _affine(
    moments, add, weight, bias, scale, shift, c, width, segments, splits, rows, rows_per_split, eps,
    ADDS: tl.constexpr, SPLITS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    lane = tl.arange(0, CHANNELS)
    inside = lane < width
    first = tl.program_id(0) * segments
    channel = tl.program_id(1) * width + lane
    size = segments * rows * 1.0 * width
    total = 0.0
    for at in range(0, segments * splits, SPLITS):
        mean, squares, count = _piece(
            moments, add, first, at, channel, inside, c, segments, splits, rows, rows_per_split, ADDS, SPLITS
        )
        total += tl.sum(mean * count)
    centre = total / size
    spread = 0.0
    for at in range(0, segments * splits, SPLITS):
        mean, squares, count = _piece(
            moments, add, first, at, channel, inside, c, segments, splits, rows, rows_per_split, ADDS, SPLITS
        )
        spread += tl.sum(squares + count * (mean - centre) * (mean - centre))
    factor = tl.load(weight + channel, inside, 0.0).to(tl.float32) / tl.sqrt(spread / size + eps)
    offset = tl.load(bias + channel, inside, 0.0).to(tl.float32) - centre * factor
    for segment in range(segments):
        place = (first + segment) * c + channel
        added = offset
        if ADDS:
            added += tl.load(add + place, inside, 0.0).to(tl.float32) * factor
        tl.store(scale + place, factor, inside)
        tl.store(shift + place, added, inside)


@triton.jit
def _piece(
    moments, add, first, at, channel, inside, c, segments, splits, rows, rows_per_split,
    ADDS: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Of some splits in a row: the mean of each channel with what is added, the squares, and how many rows (or 0)."""
    index = at + tl.arange(0, SPLITS)
    there = (index < segments * splits)[:, None] & inside[None, :]
    place = ((first * splits + index) * 2 * c)[:, None] + channel[None, :]
    mean = tl.load(moments + place, there, 0.0)
    squares = tl.load(moments + place + c, there, 0.0)
    if ADDS:
        mean += tl.load(add + ((first + index // splits) * c)[:, None] + channel[None, :], there, 0.0).to(tl.float32)
    count = tl.minimum(rows - (index % splits) * rows_per_split, rows_per_split).to(tl.float32)
    return mean, squares, tl.where(there, count[:, None], 0.0)


def apply(x: Tensor, scale: Tensor, shift: Tensor, silu: bool) -> Tensor:
    """scale x + shift, and SiLU of it if asked: (n c h w) channels-last, with (segments, c) factors."""
    segments, c = scale.shape
    rows = x.numel() // (c * segments)
    result = torch.empty_like(x)
    _apply[(triton.cdiv(rows, 64), triton.cdiv(c, CHANNELS), segments)](
        x, scale, shift, result, c, rows, SILU=silu, ROWS=64, CHANNELS=CHANNELS
    )
    return result


@triton.jit(do_not_specialize=["rows"])
def _apply(x, scale, shift, result, c, rows, SILU: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    segment = tl.program_id(2)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there = (row < rows)[:, None] & (channel < c)[None, :]
    place = segment.to(tl.int64) * rows * c + row[:, None].to(tl.int64) * c + channel[None, :]
    factor = tl.load(scale + segment * c + channel, channel < c, 0.0)[None, :]
    offset = tl.load(shift + segment * c + channel, channel < c, 0.0)[None, :]
    value = tl.load(x + place, there, 0.0).to(tl.float32) * factor + offset
    if SILU:
        value = value * tl.sigmoid(value)
    tl.store(result + place, value.to(result.dtype.element_ty), there)
