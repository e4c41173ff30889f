"""When a fast path is taken. Nothing but the tensors at hand and what their card can do decides."""

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)
ANY = (*HALF, torch.float32)


def fast(x: Tensor, *layers: Any, dtypes: tuple[torch.dtype, ...] = ANY) -> bool:
    """Whether a Triton kernel can take x and these layers' weights: on an NVIDIA card, for inference.

    torch.compile is given the plain paths: it makes its own kernels of them.
    """
    return (
        x.is_cuda
        and not torch.compiler.is_compiling()
        and x.dtype in dtypes
        and not torch.is_grad_enabled()
        and builds_kernels(x.device)
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
def builds_kernels(device: torch.device) -> bool:
    """Whether Triton is there and can build kernels for this card: an NVIDIA one of compute capability 8.0 or later.

    Triton needs a C compiler, and can be of another version than torch wants; so it is tried, once, and warns.
    """
    if torch.version.hip is not None or find_spec("triton") is None:
        return False
    if torch.cuda.get_device_capability(device) < (8, 0):
        return False

    try:
        from .gpu import mix

        x = torch.ones(1, 64, device=device)
        mix.mix(x, x, None, None, None, 64)
    except Exception as error:  # a compiler's, a driver's, Python's: whatever it is, the plain paths work
        warnings.warn(f"Triton builds no kernels here ({error}), so the slower plain paths are taken.", stacklevel=2)
        return False
    return True


@cache
def is_hopper(device: torch.device) -> bool:
    """Whether the kernels in Gluon are for this card: compute capability 9.0, and Triton works."""
    return builds_kernels(device) and torch.cuda.get_device_capability(device) == (9, 0)


_refused: set[str] = set()


def attempt(name: str, work: Callable[[], Tensor | None]) -> Tensor | None:
    """work(), by the kernel of that name; None, and once a warning, where it cannot be had.

    For what is written in Gluon, which Triton still calls an experiment and may change.
    """
    if name in _refused:
        return None
    try:
        return work()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        _refused.add(name)
        warnings.warn(f"This Triton does not build {name} ({error}), so a slower one is taken.", stacklevel=2)
        return None


def channels_last(*maps: Tensor) -> bool:
    """Whether feature maps (n c h w) lie in memory as n h w c."""
    return all(x.is_contiguous(memory_format=torch.channels_last) for x in maps)
