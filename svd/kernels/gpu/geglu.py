"""GEGLU in one kernel: both halves of the matrix product, and value gelu(gate) before anything is written."""

import torch
import triton
import triton.language as tl
from torch import Tensor

try:
    from triton.tools.tensor_descriptor import TensorDescriptor
except ImportError:  # before Triton 3.4
    TensorDescriptor = None

ROWS = 128  # of a tile


def geglu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x (... k), weight (2n k): values' rows first, then the gates' -> (... n)."""
    k, n = x.shape[-1], weight.shape[0] // 2
    m = x.numel() // k
    result = torch.empty(*x.shape[:-1], n, device=x.device, dtype=x.dtype)
    if k % 64 == 0 and n % 64 == 0 and TensorDescriptor and torch.cuda.get_device_capability(x.device) >= (9, 0):
        columns, warps = (64, 4) if k <= 320 else (128, 8)
        rows_of = TensorDescriptor.from_tensor(x.view(m, k), [ROWS, 64])
        columns_of = TensorDescriptor.from_tensor(weight, [columns, 64])
        _hopper[(triton.cdiv(m, ROWS) * triton.cdiv(n, columns),)](
            rows_of, columns_of, bias, result, m, n, k, ROWS=ROWS, COLUMNS=columns, DEPTH=64, num_warps=warps
        )
    else:
        _geglu[(triton.cdiv(m, ROWS) * triton.cdiv(n, 64),)](
            x, weight, bias, result, m, n, k, ROWS=ROWS, COLUMNS=64, DEPTH=32, num_warps=4, num_stages=4
        )
    return result


@triton.jit(do_not_specialize=["m"])
def _hopper(x, weight, bias, result, m, n, k, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr):
    """With the bulk copy engine, which Hopper has and later cards too. x and weight are tensor descriptors."""
    across = tl.cdiv(n, COLUMNS)
    row = (tl.program_id(0) // across) * ROWS
    column = (tl.program_id(0) % across) * COLUMNS
    values = tl.zeros([ROWS, COLUMNS], tl.float32)
    gates = tl.zeros([ROWS, COLUMNS], tl.float32)
    for at in range(0, k, DEPTH):
        a = x.load([row, at])
        values = tl.dot(a, weight.load([column, at]).T, values)
        gates = tl.dot(a, weight.load([n + column, at]).T, gates)
    _finish(values, gates, bias, result, row + tl.arange(0, ROWS), column + tl.arange(0, COLUMNS), m, n)


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
    product = values * gates * 0.5 * (1 + _erf(gates * 0.7071067811865476))
    there = (row < m)[:, None] & (column < n)[None, :]
    tl.store(result + row.to(tl.int64)[:, None] * n + column[None, :], product.to(result.dtype.element_ty), there)


@triton.jit
def _erf(x):
    """To 3e-7, Abramowitz and Stegun 7.1.28: the library's exact one would take longer than the matrix product."""
    z = tl.abs(x)
    p = ((((4.30638e-5 * z + 2.765672e-4) * z + 1.520143e-4) * z + 9.2705272e-3) * z + 4.22820123e-2) * z
    p = (p + 7.05230784e-2) * z + 1
    p *= p
    p *= p
    p *= p
    p *= p
    y = 1 - 1 / p
    return tl.where(x < 0, -y, y)
