"""Attention as two matrix products and what lies between them, for some of an image's queries at a time.

The scores stay in fp32. The weights are not divided by their sum until after the second product: the largest of a row
is then 1, and half precision holds them as well for many tokens as for few.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import launch

MOST = 2**25  # scores at a time: 128 MiB


def wide_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(c)) v, n s c"""
    n, s, c = q.shape
    result = torch.empty(n, s, c, device=q.device, dtype=q.dtype)
    for queries, keys, values, mixed in zip(q, k, v, result, strict=True):
        for some, to in zip(*(x.split(max(MOST // s, 1)) for x in (queries, mixed)), strict=True):
            weights, total = weigh(_product(some, keys.t()), c**-0.5, q.dtype)
            torch.div(_product(weights, values), total, out=to)
    return result


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a b in fp32."""
    return torch.mm(a, b) if a.dtype == torch.float32 else torch.mm(a, b, out_dtype=torch.float32)


def weigh(scores: Tensor, scale: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """exp(scale (score - the row's largest)), and the sum of each row in fp32."""
    rows, columns = scores.shape
    weights = torch.empty(rows, columns, device=scores.device, dtype=dtype)
    total = torch.empty(rows, 1, device=scores.device, dtype=torch.float32)
    launch(_exponentials, (rows,))(
        scores, weights, total, columns, scale * 1.4426950408889634, COLUMNS=2048, num_warps=8
    )
    return weights, total


@triton.jit(do_not_specialize=["columns"])
def _exponentials(scores, weights, total, columns, scale, COLUMNS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    scores += row * columns
    weights += row * columns
    lane = tl.arange(0, COLUMNS)
    largest = tl.full([COLUMNS], float("-inf"), tl.float32)
    for first in range(0, columns, COLUMNS):
        column = first + lane
        largest = tl.maximum(largest, tl.load(scores + column, column < columns, float("-inf")))
    most = tl.max(largest, 0)
    summed = tl.zeros([COLUMNS], tl.float32)
    for first in range(0, columns, COLUMNS):
        column = first + lane
        score = tl.load(scores + column, column < columns, float("-inf"))
        weight = tl.exp2((score - most) * scale).to(weights.dtype.element_ty)  # in units of log2
        summed += weight.to(tl.float32)
        tl.store(weights + column, weight, column < columns)
    tl.store(total + row, tl.sum(summed, 0))
