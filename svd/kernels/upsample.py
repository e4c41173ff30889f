"""A feature map with every place four times."""

from torch import Tensor
from torch.nn import functional as F

from .choice import channels_last, fast


def upsample(x: Tensor, height: int, width: int) -> Tensor:
    """Nearest neighbour to twice the size, or one less where that was odd: (n c h w) -> (n c height width)."""
    if fast(x) and channels_last(x):
        from .gpu import upsample as gpu

        return gpu.upsample(x, height, width)
    return F.interpolate(x, size=(height, width), mode="nearest")
