"""The gated first half of a feed-forward."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from .choice import HALF, builds_for_hopper, fast


def geglu(x: Tensor, linear: Any) -> Tensor:
    """value gelu(gate), with the exact (erf) gelu, of the halves of linear(x): (... k) -> (... n)."""
    if fast(x, linear, dtypes=HALF) and x.is_contiguous():
        if builds_for_hopper("geglu_hopper", x.device):
            from .gpu import geglu_hopper

            if geglu_hopper.fits(x, linear.weight):
                return geglu_hopper.geglu(x, linear.weight, linear.bias)
        from .gpu import geglu as gpu

        return gpu.geglu(x, linear.weight, linear.bias)
    value, gate = linear(x).chunk(2, dim=-1)
    return value * F.gelu(gate)
