"""When a fast path is taken. Nothing but the tensors at hand and what their card can do decides."""

import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module

HALF = (torch.float16, torch.bfloat16)
ANY = (*HALF, torch.float32)
FORWARDS = {kind.forward for kind in (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)}


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
        and x.device not in _given_up
        and all(resident(layer, x) for layer in layers)
    )


def resident(layer: Any, x: Tensor) -> bool:
    """Whether the layer's weights can be read instead of calling it: they lie where x does, in its precision, and
    calling it would do with them what its class in torch does, and nothing else.

    A host that streams weights leaves them elsewhere, or hangs functions on the layer that patch them on their way.
    Adapters, quantised layers and hooks have to be called. torch.compile makes the calls its own.
    """
    if torch.compiler.is_compiling() or not _as_made(layer):
        return False
    weight = layer.weight
    return type(weight) in (Tensor, nn.Parameter) and weight.device == x.device and weight.dtype == x.dtype


def _as_made(layer: Any) -> bool:
    own = type(layer).forward in FORWARDS or hasattr(layer, "comfy_cast_weights")  # ComfyUI's classes cast and patch
    changed = "forward" in vars(layer) or layer._forward_hooks or layer._forward_pre_hooks
    patched = getattr(layer, "weight_function", None) or getattr(layer, "bias_function", None)
    return own and not changed and not patched and not _hooked_everywhere()


def _hooked_everywhere() -> bool:
    """Whether torch was told to call functions beside every module."""
    return bool(module._global_forward_hooks or module._global_forward_pre_hooks)


@cache
def builds_kernels(device: torch.device) -> bool:
    """Whether Triton is there and builds kernels for this card: an NVIDIA one of compute capability 8.0 or later."""
    return obstacle(device) is None


def obstacle(device: torch.device) -> str | None:
    """Why no kernels are built for this card; None where they are.

    Triton needs a C compiler, and can be of another version than torch wants; so it is tried, and a failure warns.
    """
    if torch.version.hip is not None:
        return "the kernels are for NVIDIA cards"
    if find_spec("triton") is None:
        return "Triton is not installed"
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < (8, 0):
        return f"the card's compute capability is {major}.{minor}, and the kernels need 8.0"

    try:
        from .gpu import mix

        x = torch.ones(1, 64, device=device, dtype=torch.float32)
        mix.mix(x, x, x[0, :1], x[0, :1], None, 64)
    except Exception as error:  # a compiler's, a driver's, Python's: whatever it is, the plain paths work
        warnings.warn(f"Triton builds no kernels here ({error}), so the slower plain paths are taken.", stacklevel=3)
        return f"Triton builds none ({error})"
    return None


def give_up(device: torch.device) -> None:
    """Takes the plain paths on this card from now on: a kernel was not to be had."""
    _given_up.add(device)


_given_up: set[torch.device] = set()


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
