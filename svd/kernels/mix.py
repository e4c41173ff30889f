"""The sum of two feature maps, each with its share."""

from torch import Tensor

from .choice import channels_last, fast
from .group_norm import as_map


def mix(x: Tensor, y: Tensor, x_share: Tensor, y_share: Tensor, add: Tensor | None = None) -> Tensor:
    """x_share x + y_share y + add, feature maps (n c h w). Shares are single numbers in fp32.

    add: (n c), or (n h, c) for each row of each.
    """
    if fast(x) and channels_last(x, y):
        from .gpu import mix as gpu

        return gpu.mix(x, y, x_share, y_share, None if add is None else add.contiguous(), x.shape[1])
    result = (x * x_share.to(x.dtype)).addcmul(y, y_share.to(x.dtype))
    return result if add is None else result + as_map(add.to(x.dtype), x)
