"""The sum of two feature maps, each with its share."""

from torch import Tensor

from .choice import channels_last, fast
from .group_norm import as_map


def mix(
    x: Tensor, y: Tensor, x_share: Tensor | None = None, y_share: Tensor | None = None, add: Tensor | None = None
) -> Tensor:
    """x_share x + y_share y + add, feature maps (n c h w). Shares are single numbers in fp32, None means 1.

    add: (n c), or (n h, c) for each row of each, or (c,) for all.
    """
    if fast(x) and channels_last(x, y):
        from .gpu import mix as gpu

        add = add[None] if add is not None and add.ndim == 1 else add
        return gpu.mix(x, y, x_share, y_share, None if add is None else add.contiguous(), x.shape[1])
    if x_share is not None:
        x = x * x_share.to(x.dtype)
    result = x + y if y_share is None else x.addcmul(y, y_share.to(x.dtype))
    if add is not None:
        add = add.to(x.dtype)
        result = result + (add[:, None, None] if add.ndim == 1 else as_map(add, x))
    return result
