"""When a fast path is taken. Nothing but the tensors at hand decides: no switch, no state."""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
ANY = (*HALF, torch.float32)


def fast(x: Tensor, *layers: Any, dtypes: tuple[torch.dtype, ...] = ANY) -> bool:
    """Whether a Triton kernel can take x and these layers' weights: on an NVIDIA card, for inference."""
    return (
        x.is_cuda
        and x.dtype in dtypes
        and not torch.is_grad_enabled()
        and has_triton()
        and all(resident(layer, x) for layer in layers)
    )


def resident(layer: Any, x: Tensor) -> bool:
    """Whether the layer's weights lie where x does, in its precision, with nothing to be done to them at use.

    A host that streams weights leaves them elsewhere, or hangs functions on the layer that patch them on their way.
    """
    weight = layer.weight
    patched = getattr(layer, "weight_function", None) or getattr(layer, "bias_function", None)
    return weight.device == x.device and weight.dtype == x.dtype and not patched


@cache
def has_triton() -> bool:
    return torch.version.hip is None and find_spec("triton") is not None


def channels_last(*maps: Tensor) -> bool:
    """Whether feature maps (n c h w) lie in memory as n h w c."""
    return all(x.is_contiguous(memory_format=torch.channels_last) for x in maps)
