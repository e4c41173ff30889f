"""LayerNorm of tokens, and what is to be added to all tokens of a frame before it."""

from typing import Any

import torch
from torch import Tensor

from .choice import fast


def layer_norm(x: Tensor, norm: Any, add: Tensor | None) -> Tensor:
    """norm(x + add): (n s c), add (n c) -> (n s c)."""
    if fast(x, norm) and x.is_contiguous():
        from .gpu import layer_norm as gpu

        return gpu.layer_norm(x, add, norm.weight, norm.bias, norm.eps)
    return norm(x if add is None else x + add[:, None])


def layer_norm_and_copy(x: Tensor, norm: Any, add: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same, and x itself in memory of its own: what reads x for the norm writes both."""
    if fast(x, norm) and x.is_contiguous():
        from .gpu import layer_norm as gpu

        copy = torch.empty_like(x)
        return gpu.layer_norm(x, add, norm.weight, norm.bias, norm.eps, copy), copy
    return layer_norm(x, norm, add), x.clone()
