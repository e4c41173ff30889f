"""Attention among the tokens of each image."""

from inspect import signature

from einops import rearrange
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from .choice import HALF, attempt, fast, is_hopper

NAMES = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH")  # in the order in which they are tried
BACKENDS = [getattr(SDPBackend, name) for name in NAMES if hasattr(SDPBackend, name)]
PRIORITY = {"set_priority": True} if "set_priority" in signature(sdpa_kernel).parameters else {}  # torch 2.6


def spatial_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """n s (h d) -> n s (h d)"""
    if fast(q, dtypes=HALF) and is_hopper(q.device):
        y = attempt("attention_hopper", lambda: _on_hopper(q, k, v, heads))
        if y is not None:
            return y
    return attend(q, k, v, heads)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """torch's own, n s (h d), keys and values of any number; by cuDNN where it can, the fastest for many tokens."""
    q, k, v = (rearrange(x, "n s (h d) -> n h s d", h=heads) for x in (q, k, v))
    if q.is_cuda:
        with sdpa_kernel(BACKENDS, **PRIORITY):
            out = F.scaled_dot_product_attention(q, k, v)
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return rearrange(out, "n h s d -> n s (h d)")


def _on_hopper(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor | None:
    from .gpu import attention_hopper as gpu

    return gpu.attention(q, k, v, heads) if gpu.fits(q, k, v, heads) else None
