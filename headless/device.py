"""Which device the networks run on."""

import torch

from ..nodes.host.standalone import default_device
from .request import check_device, no_device


def open_device(name: str | None) -> torch.device:
    """The device of this name; for None the default one.

    Raises:
        InputError: torch knows no such device, or this machine has none.
    """
    if name is None:
        return default_device()
    check_device(name)
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        raise no_device(name) from None
