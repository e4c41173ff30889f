"""LayerNorm of tokens, and what is to be added to all tokens of a frame before it."""

from typing import Any

import torch
from torch import Tensor

from .choice import fast


def layer_norm(x: Tensor, norm: Any, add: Tensor | None) -> Tensor:
    """norm(x + add): (n s c) -> (n s c). add: (c,), (t c) or (b|1 t|1 c), the n being t frames of b clips, or None."""
    if fast(x, norm) and x.is_contiguous():
        from .gpu import layer_norm as gpu

        return gpu.layer_norm(x, None if add is None else of_frames(add, len(x)), norm.weight, norm.bias, norm.eps)
    return norm(x if add is None else x + of_frames(add, len(x)).flatten(0, 1)[:, None])


def layer_norm_and_copy(x: Tensor, norm: Any, add: Tensor | None) -> tuple[Tensor, Tensor]:
    """The same, and x itself in memory of its own: what reads x for the norm writes both."""
    if fast(x, norm) and x.is_contiguous():
        from .gpu import layer_norm as gpu

        add = None if add is None else of_frames(add, len(x))
        copy = torch.empty_like(x)
        return gpu.layer_norm(x, add, norm.weight, norm.bias, norm.eps, copy), copy
    return layer_norm(x, norm, add), x.clone()


def of_frames(add: Tensor, n: int) -> Tensor:
    """Vectors as a view with one for each of n frames, (b t c)."""
    b, t = (1, 1, *add.shape[:-1])[-2:]
    clips = b if t == 1 else n // t
    return add.expand(clips, n // clips, -1)
