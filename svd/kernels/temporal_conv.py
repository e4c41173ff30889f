"""A convolution over time, and the blend of its result with what it branched from."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .choice import HALF, channels_last, fast
from .group_norm import add_and_measure

WIDE = 320  # channels from which cuDNN's three-dimensional convolution is the fastest; below, our own kernel


def temporal_conv(x: Tensor, conv: Any) -> tuple[Tensor, Tensor | None]:
    """The convolution, and the bias that is still to be added, or None: clips (b c_in t s) -> (b c_out t s).

    conv: kernel (3, 1), padded by one frame at both ends.
    """
    if not _fast(x, conv):
        return conv(x), None
    if x.shape[1] >= WIDE:
        return _conv3d(x, conv), conv.bias
    from .gpu import temporal_conv as gpu

    return gpu.temporal_conv(x, conv.weight, conv.bias), None


def temporal_conv_onto(onto: Tensor, share: Tensor, x: Tensor, conv: Any) -> tuple[Tensor, Tensor | None]:
    """onto + share conv(x), and the moments of every frame of it, or None where they would cost a reading.

    share: a single number in fp32.
    """
    if _fast(x, conv) and channels_last(onto) and x.shape[1] < WIDE:
        from .gpu import temporal_conv as gpu

        return gpu.temporal_conv(x, conv.weight, conv.bias, onto, share), None
    y, bias = temporal_conv(x, conv)
    return add_and_measure(onto, y, bias, share, segments=x.shape[0] * x.shape[2])


def _fast(x: Tensor, conv: Any) -> bool:
    return fast(x, conv, dtypes=HALF) and channels_last(x, conv.weight)


def _conv3d(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """The same without its bias, on a view of one column: its kernels suit the shape better than the flat ones."""
    shape, strides = x.shape, x.stride()
    # A single clip's own stride may be anything: said as it would be, or the layout is not recognised.
    clips = torch.as_strided(x, (*shape, 1), (shape[1:].numel(), *strides[1:], shape[1]))
    return F.conv3d(clips, conv.weight[..., None], padding=(1, 0, 0)).squeeze(-1)
