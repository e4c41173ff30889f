"""LayerNorm of tokens, and what is to be added to all tokens of a frame before it."""

from typing import Any

from torch import Tensor

from .choice import fast


def layer_norm(x: Tensor, norm: Any, add: Tensor | None) -> Tensor:
    """norm(x + add): (n s c), add (n c) -> (n s c)."""
    if fast(x, norm) and x.is_contiguous():
        from .gpu import layer_norm as gpu

        return gpu.layer_norm(x, None if add is None else add.contiguous(), norm.weight, norm.bias, norm.eps)
    return norm(x if add is None else x + add[:, None])
