"""Running out of memory: how torch says it, and who knows what to do."""

from collections.abc import Callable

import torch

Advice = Callable[[int | None], str]
"""From the bytes there were for activations, None where that is unknown, to the sentence for the user."""


def out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory, on a card or in main memory."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in said or "MPS backend out" in said
