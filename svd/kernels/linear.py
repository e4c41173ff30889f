"""Layers without their bias, which is left to whoever reads the result next: adding it there costs nothing."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .choice import resident


def unbiased(layer: Any, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """A convolution or linear layer, and the bias that is still to be added; other layers as they are, and None.

    On a card a convolution's bias is a pass of its own over the result, and few linear channels take twice as long.
    """
    if x.is_cuda and not torch.is_grad_enabled() and isinstance(layer, (nn.Conv2d, nn.Linear)) and resident(layer, x):
        return without_bias(layer, x), layer.bias
    return layer(x), None


def without_bias(layer: nn.Conv2d | nn.Linear, x: Tensor) -> Tensor:
    if isinstance(layer, nn.Conv2d):
        return layer._conv_forward(x, layer.weight, None)
    return F.linear(x, layer.weight)


def add_linear(x: Tensor, y: Tensor, linear: Any) -> tuple[Tensor, Tensor | None]:
    """x + W y for tokens (n s c), and the bias that is still to be added, or None.

    The sum is part of the matrix product, and takes x's place in memory unless gradients need x.
    """
    if torch.is_grad_enabled() or not resident(linear, x):
        return x + linear(y), None
    rows, weight = y.flatten(0, 1), linear.weight.t()
    if not x.is_contiguous():  # a piece of every frame, say
        return torch.addmm(x.flatten(0, 1), rows, weight).view_as(x), linear.bias
    x.view(-1, x.shape[-1]).addmm_(rows, weight)
    return x, linear.bias
