"""A result depends on what a function is given, never on what the program around it has set in torch."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")
AUTOCAST = ("cpu", "cuda", "mps", "xpu")


def inference(function: Callable[P, R]) -> Callable[P, R]:
    """The function without gradients, and with no autocast: networks compute in their own weights' precision.

    A network that a trainer has wrapped in an autocast of its own keeps that: it begins inside.
    """

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch.no_grad(), ExitStack() as stack:
            for kind in filter(torch.is_autocast_enabled, AUTOCAST):
                stack.enter_context(torch.autocast(kind, enabled=False))
            return function(*args, **kwargs)

    return alone
