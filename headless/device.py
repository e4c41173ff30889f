"""Which device the networks run on."""

import torch

from ..svd.errors import InputError


def open_device(name: str | None) -> torch.device:
    """The device of this name; for None the first CUDA card, else the CPU.

    Raises:
        InputError: torch knows no such device, or this machine has none.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=torch.device(name)).device
    except (RuntimeError, AssertionError):
        hint = "use cpu, or cuda with a card and a CUDA build of torch"
        raise InputError(f'There is no device "{name}" here; {hint}.') from None
