"""GEGLU in one kernel: both halves of the matrix product, and value gelu(gate) before anything is written."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import launch

ROWS = 128  # of a tile


def geglu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (... k), weight (2n k): values' rows first, then the gates' -> (... n)."""
    k, n = x.shape[-1], weight.shape[0] // 2
    m = x.numel() // k
    result = torch.empty(*x.shape[:-1], n, device=x.device, dtype=x.dtype)
    launch(_geglu, (triton.cdiv(m, ROWS) * triton.cdiv(n, 64),))(
        x, weight, bias, result, m, n, k, ROWS=ROWS, COLUMNS=64, DEPTH=32, num_warps=4, num_stages=4
    )
    return result


@triton.jit(do_not_specialize=["m"])
def _geglu(x, weight, bias, result, m, n, k, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr):
    across = tl.cdiv(n, COLUMNS)
    row = (tl.program_id(0) // across) * ROWS + tl.arange(0, ROWS)
    first = (tl.program_id(0) % across) * COLUMNS
    # A value's column and its gate's lie side by side in the product, so in the registers of one thread.
    lane = tl.arange(0, 2 * COLUMNS)
    source = tl.minimum(first + lane // 2, n - 1) + (lane % 2) * n
    inner = tl.arange(0, DEPTH)
    x_at = x + tl.minimum(row, m - 1).to(tl.int64)[:, None] * k + inner[None, :]
    weight_at = weight + source[None, :] * k + inner[:, None]
    total = tl.zeros([ROWS, 2 * COLUMNS], tl.float32)
    for done in range(0, k, DEPTH):
        left = inner < k - done
        a = tl.load(x_at, left[None, :], 0.0)
        total = tl.dot(a, tl.load(weight_at, left[:, None], 0.0), total)
        x_at += DEPTH
        weight_at += DEPTH
    values, gates = tl.split(tl.reshape(total, [ROWS, COLUMNS, 2]))
    _finish(values, gates, bias, result, row, first + tl.arange(0, COLUMNS), m, n)


@triton.jit
def _finish(values, gates, bias, result, row, column, m, n):
    values += tl.load(bias + column, column < n, 0.0).to(tl.float32)[None, :]
    gates += tl.load(bias + n + column, column < n, 0.0).to(tl.float32)[None, :]
    product = values * _gelu(gates)
    there = (row < m)[:, None] & (column < n)[None, :]
    tl.store(result + row.to(tl.int64)[:, None] * n + column[None, :], product.to(result.dtype.element_ty), there)


@triton.jit
def _gelu(x):
    """x (1 + erf(x / sqrt(2))) / 2 to 5e-7: the library's exact erf would take longer than the matrix product.

    Abramowitz and Stegun 7.1.28, erf(y) = 1 - p(y)^-16 for y >= 0, as max(x, 0) - |x| / P(|x|)^16. P is p with the
    gelu's 2 and its root in the coefficients.
    """
    z = tl.abs(x)
    p = ((5.621299664e-6 * z + 5.105520901e-5) * z + 3.968613701e-5) * z + 3.422739239e-3
    p = ((p * z + 2.207699846e-2) * z + 5.207516304e-2) * z + 1.044273782
    p *= p
    p *= p
    p *= p
    p *= p
    return tl.maximum(x, 0.0) - z / p
