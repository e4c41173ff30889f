"""Copies of feature maps: two side by side, and every place four times."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .choice import channels_last, fast


def concatenate(x: Tensor, y: Tensor, x_add: Tensor | None = None, y_add: Tensor | None = None) -> Tensor:
    """x + x_add beside y + y_add: (n a h w), (n b h w), with (a,) and (b,) or None -> (n a+b h w)."""
    if fast(x) and channels_last(x, y):
        from .gpu import rearrange as gpu

        return gpu.concatenate(x, y, x_add, y_add)
    return torch.cat([added(x, x_add), added(y, y_add)], dim=1)


def added(x: Tensor, add: Tensor | None) -> Tensor:
    """x + add: (n c h w), with (c,) or None."""
    return x if add is None else x + add[:, None, None]


def upsample(x: Tensor, height: int, width: int) -> Tensor:
    """Nearest neighbour to twice the size, or one less where that was odd: (n c h w) -> (n c height width)."""
    if fast(x) and channels_last(x):
        from .gpu import rearrange as gpu

        return gpu.upsample(x, height, width)
    return F.interpolate(x, size=(height, width), mode="nearest")
