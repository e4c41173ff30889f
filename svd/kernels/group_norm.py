"""GroupNorm, what is to be added before it, and SiLU after it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .choice import channels_last, fast


def group_norm(x: Tensor, norm: Any, add: Tensor | None = None, silu: bool = True) -> Tensor:
    """silu(norm(x + add)), or without the SiLU: (n c h w) -> (n c h w).

    add: (c,) for all; (n c), one vector for each of the n; or (n h, c), one for each row of each, a clip's frames say.
    """
    if add is not None and add.ndim == 1:
        add = add.expand(len(x), -1)
    if fast(x, norm) and channels_last(x):
        from .gpu import group_norm as gpu

        segments = len(x) if add is None else len(add)
        rows = x.numel() // (x.shape[1] * segments)
        add = None if add is None else add.contiguous()
        moments = gpu.moments(x, segments)
        factors = gpu.affine(moments, rows, len(x), norm.num_groups, norm.weight, norm.bias, norm.eps, add)
        return gpu.apply(x, *factors, silu)
    if add is not None:
        x = x + as_map(add, x)
    if len(x) == 1 and not torch.is_grad_enabled():
        # A single clip's own stride may be anything: said as it would be, or the norm copies to another layout.
        x = x.as_strided(x.shape, (x.numel(), *x.stride()[1:]))
    y = norm(x)
    return F.silu(y, inplace=not torch.is_grad_enabled()) if silu else y


def as_map(add: Tensor, x: Tensor) -> Tensor:
    """Vectors of every segment (segments c) as something to add to x (n c h w): (n c 1|h 1)."""
    return add.unflatten(0, (len(x), -1)).transpose(1, 2)[..., None]
