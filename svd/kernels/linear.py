"""Layers without their bias, which is left to whoever reads the result next: adding it there costs nothing."""

from typing import Any

import torch
from torch import Tensor, nn

from .choice import resident


def unbiased(conv: Any, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """A convolution (or nn.Identity), and the bias that is still to be added; None where there is none left.

    On a card the bias would be a pass of its own over the result.
    """
    if x.is_cuda and not torch.is_grad_enabled() and isinstance(conv, nn.Conv2d) and resident(conv, x):
        return conv._conv_forward(x, conv.weight, None), conv.bias
    return conv(x), None


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
