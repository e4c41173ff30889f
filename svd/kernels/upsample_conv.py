"""A convolution of a map at twice its size."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .choice import channels_last, fast, resident
from .upsample import upsample

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
    if pays and x.is_cpu and x.dtype == torch.float32 and not torch.is_grad_enabled() and resident(conv, x):
        return _by_phases(x, conv.weight, conv.bias)
    return conv(upsample(x, height, width))


def _by_phases(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The four small convolutions, an image at a time, which stays in a processor's cache."""
    n, _, h, w = x.shape
    shape = n, len(weight), 2 * h, 2 * w
    result = torch.empty(shape, device=x.device, dtype=x.dtype, memory_format=torch.channels_last)
    rows = [halved(weight, 2, a) for a in (0, 1)]
    phases = [
        (a, b, halved(rows[a], 3, b).contiguous(memory_format=torch.channels_last)) for a in (0, 1) for b in (0, 1)
    ]
    for image, to in zip(x.split(1), result.split(1), strict=True):
        padded = F.pad(image, (1, 1, 1, 1))
        for a, b, phase in phases:
            to[:, :, a::2, b::2] = F.conv2d(padded[:, :, a : a + h + 1, b : b + w + 1], phase, bias)
    return result


def halved(weight: Tensor, dim: int, phase: int) -> Tensor:
    """A kernel's three taps along a dimension as the two that are left of them at an even or odd place (phase 0, 1)."""
    before, centre, after = weight.unbind(dim)
    return torch.stack([before, centre + after] if phase == 0 else [before + centre, after], dim)
