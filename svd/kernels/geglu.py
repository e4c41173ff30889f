"""The gated first half of a feed-forward."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from .choice import HALF, attempt, fast, is_hopper


def geglu(x: Tensor, linear: Any) -> Tensor:
    """value gelu(gate), with the exact (erf) gelu, of the halves of linear(x): (... k) -> (... n)."""
    if fast(x, linear, dtypes=HALF) and x.is_contiguous():
        if is_hopper(x.device) and (y := attempt("geglu_hopper", lambda: _on_hopper(x, linear))) is not None:
            return y
        from .gpu import geglu as gpu

        return gpu.geglu(x, linear.weight, linear.bias)
    value, gate = linear(x).chunk(2, dim=-1)
    return value * F.gelu(gate)


def _on_hopper(x: Tensor, linear: Any) -> Tensor | None:
    from .gpu import geglu_hopper as gpu

    return gpu.geglu(x, linear.weight, linear.bias) if gpu.fits(x, linear.weight) else None
