"""Copies of feature maps: two side by side, and every place four times."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .choice import channels_last, fast


def concatenate(x: Tensor, y: Tensor) -> Tensor:
    """(n a h w), (n b h w) -> (n a+b h w)."""
    if fast(x) and channels_last(x, y):
        from .gpu import rearrange as gpu

        return gpu.concatenate(x, y)
    return torch.cat([x, y], dim=1)


def upsample(x: Tensor, height: int, width: int) -> Tensor:
    """Nearest neighbour to twice the size, or one less where that was odd: (n c h w) -> (n c height width)."""
    if fast(x) and channels_last(x):
        from .gpu import rearrange as gpu

        return gpu.upsample(x, height, width)
    return F.interpolate(x, size=(height, width), mode="nearest")
