"""Which device the networks run on."""

import torch

from ..nodes.host.standalone import default_device
from ..svd.errors import InputError

KINDS = ("cpu", "cuda", "mps", "xpu")


def open_device(name: str | None) -> torch.device:
    """The device of this name; for None the default one.

    Raises:
        InputError: torch knows no such device, or this machine has none.
    """
    if name is None:
        return default_device()
    try:
        if torch.device(name).type in KINDS:
            return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        pass
    hint = f"use cpu, or {', '.join(KINDS[1:])} with such a card and a build of torch for it"
    raise InputError(f'There is no device "{name}" here; {hint}.')
