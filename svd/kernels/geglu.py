"""The gated first half of a feed-forward."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .choice import HALF, fast, resident


def geglu(x: Tensor, linear: Any) -> Tensor:
    """value gelu(gate), with the exact (erf) gelu, of the halves of linear(x): (... k) -> (... n)."""
    if fast(x, linear, dtypes=HALF) and x.is_contiguous():
        from .gpu import geglu as gpu

        return gpu.geglu(x, linear.weight, linear.bias)
    if _fuses(x, linear):
        # oneDNN's matrix products, with the bias, the gelu and the product as their last step.
        product = torch.ops.mkldnn._linear_pointwise
        (values, gates), (value_bias, gate_bias) = linear.weight.chunk(2), linear.bias.chunk(2)
        gate = product(x, gates, gate_bias, "gelu", [], "none")
        return product.binary(x, gate, values, value_bias, "mul")
    value, gate = linear(x).chunk(2, dim=-1)
    return value * F.gelu(gate)


def _fuses(x: Tensor, linear: Any) -> bool:
    """Whether the CPU's library can do it in two passes: in fp32, for inference."""
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()
    return on_cpu and hasattr(torch.ops.mkldnn, "_linear_pointwise") and resident(linear, x)
