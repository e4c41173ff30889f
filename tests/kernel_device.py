"""Where the tests run the Triton kernels: on the card, or where there is none in Triton's interpreter.

conftest.py imports this before anything else imports triton, which decides once what its decorator makes of a kernel.
The environment is then left as it was: processes that tests start see nothing of it.
"""

import copy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, metadata
from typing import Any

import pytest
import torch
from oracle import relative
from torch import Tensor, nn

from svd_nodes.svd.kernels import choice
from svd_nodes.svd.kernels.linear import without_bias

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
try:
    TRITON = tuple(map(int, metadata.version("triton").split(".")[:2]))
except metadata.PackageNotFoundError:
    TRITON = (0, 0)
HAS_TRITON = TRITON >= (3, 4)  # the first one with Gluon
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton 3.4 or newer is not installed (Linux on x86-64).")

KERNELS = "svd_nodes.svd.kernels"
INTERPRETED = (
    "geglu", "group_norm", "layer_norm", "mix", "temporal_attention", "temporal_conv", "upsample", "upsample_conv",
    "wide_attention",
)  # fmt: skip
DISPATCHERS = (*INTERPRETED, "spatial_attention")  # whose kernel is Gluon's, which Triton does not interpret
EXACT = {torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}  # of the largest value: one rounding


def _interpret() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        from triton.runtime import interpreter

        import_module("triton.experimental.gluon")  # which it imports at the first launch
        for name in INTERPRETED:
            import_module(f"{KERNELS}.gpu.{name}")

    # Numbers are arrays of one element there, and from numpy 2.4 on int() refuses those that have a dimension.
    change = interpreter._patch_lang_tensor

    def change_index_too(tensor: Any, scope: Any) -> None:
        change(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = change_index_too


if DEVICE == "cpu" and HAS_TRITON:
    _interpret()
torch.backends.cudnn.allow_tf32 = False  # on a card, fp32 is to be fp32


@contextmanager
def kernels() -> Iterator[set[str]]:
    """Takes the fast paths on any device, under choice.py's other conditions. Yields the growing set of those taken."""
    with pytest.MonkeyPatch.context() as patch:
        taken: set[str] = set()
        for name in DISPATCHERS:  # the package's attribute of that name is the function, not the module
            patch.setattr(sys.modules[f"{KERNELS}.{name}"], "fast", _fast(name, taken))
        for module in ("attention", "layers", "unet", "vae"):
            patch.setattr(sys.modules[f"svd_nodes.svd.{module}"], "unbiased", _unbiased)
        if DEVICE == "cpu":
            # A processor's own way of a feed-forward would be taken before the kernel's.
            patch.setattr(sys.modules[f"{KERNELS}.feed_forward"], "resident", lambda *_: False)
            patch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 0))
        yield taken


def _fast(name: str, taken: set[str]) -> Any:
    def fast(x: Tensor, *layers: Any, dtypes: Any = None) -> bool:
        yes = not torch.is_grad_enabled() and all(choice.resident(layer, x) for layer in layers)
        taken.update([name] * yes)
        return yes

    return fast


def _unbiased(layer: Any, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """linear.unbiased without its question for a card."""
    if not torch.is_grad_enabled() and isinstance(layer, (nn.Conv2d, nn.Linear)) and choice.resident(layer, x):
        return without_bias(layer, x), layer.bias
    return layer(x), None


def agree(function: Any, *arguments: Any, dtype: torch.dtype = torch.float32, tolerance: float | None = None) -> None:
    """Asserts that the kernel behind a function gives its plain twin's result in fp32, from the same rounded numbers.

    arguments: tensors, layers, and others that stay as they are; those of shape (1,) are shares and stay fp32.
    """

    def rounded(x: Any, device: str, last: torch.dtype) -> Any:
        if isinstance(x, nn.Module):
            return copy.deepcopy(x).to(dtype).to(device, last)
        if not isinstance(x, Tensor):
            return x
        return x.to(device) if x.shape == (1,) else x.to(dtype).to(device, last)

    plain = function(*(rounded(x, "cpu", torch.float32) for x in arguments))
    with torch.no_grad(), kernels() as taken:
        fast = function(*(rounded(x, DEVICE, dtype) for x in arguments))
    assert taken, "no kernel ran"
    assert fast.shape == plain.shape
    assert fast.dtype == dtype
    assert relative(fast.cpu(), plain) <= (tolerance or EXACT[dtype])
