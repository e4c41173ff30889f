"""A feed-forward, and the sum with what it is added to."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .choice import resident
from .geglu import geglu
from .linear import add_linear

PIECE = 1024  # tokens: the inner, four times wider maps of a piece stay in a processor's cache


def add_feed_forward(x: Tensor, y: Tensor, first: Any, last: Any) -> tuple[Tensor, Tensor | None]:
    """x + W geglu(first(y)) for tokens (n s c), with last's W, and the bias that is still to be added, or None.

    In x's own memory unless there are gradients.
    """
    if x.is_cpu and not torch.is_grad_enabled() and x.is_contiguous() and resident(first, y) and resident(last, y):
        _in_pieces(x.flatten(0, 1), y.flatten(0, 1), first, last.weight.t())
        return x, last.bias
    return add_linear(x, geglu(y, first), last)


def _in_pieces(x: Tensor, y: Tensor, first: Any, weight: Tensor) -> None:
    """The same for rows of tokens, a few at a time: whole, main memory would take longer than the arithmetic."""
    (value, gate), (value_bias, gate_bias) = first.weight.chunk(2), first.bias.chunk(2)
    for total, rows in zip(x.split(PIECE), y.split(PIECE), strict=True):
        inner = F.gelu(F.linear(rows, gate, gate_bias)).mul_(F.linear(rows, value, value_bias))
        total.addmm_(inner, weight)
