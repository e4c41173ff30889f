"""A convolution of a map at twice its size."""

from typing import Any

from torch import Tensor

from .choice import channels_last, fast
from .rearrange import upsample

FEWEST = 512  # places of a map from which it pays


def upsample_conv(x: Tensor, conv: Any, height: int, width: int) -> Tensor:
    """conv(upsample(x, height, width)), conv 3 x 3 and padded by one place: (n c_in h w) -> (n c_out height width).

    Where the size is twice x's, the four places that x's places become see four different 2 x 2 neighbourhoods of x:
    four small convolutions, whose weights are sums of the large one's, instead of one that computes much twice.
    """
    h, w = x.shape[-2:]
    pays = (height, width) == (2 * h, 2 * w) and h * w >= FEWEST
    if pays and fast(x, conv) and channels_last(x, conv.weight):
        from .gpu import upsample_conv as gpu

        return gpu.upsample_conv(x, conv.weight, conv.bias)
    return conv(upsample(x, height, width))
