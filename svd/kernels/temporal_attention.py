"""Attention among the frames of a clip, at each place by itself."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .choice import HALF, fast


def temporal_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, frames: int) -> Tensor:
    """(b t) s (h d) -> (b t) s (h d)"""
    width = q.shape[-1] // heads
    if fast(q, dtypes=HALF) and q.stride() == k.stride() == v.stride() and q.stride(-1) == 1:
        from .gpu import temporal_attention as gpu

        if frames <= gpu.MOST_FRAMES and width in gpu.WIDTHS:
            return gpu.temporal_attention(q, k, v, heads, frames)
    clips = zip(q.split(frames), k.split(frames), v.split(frames), strict=True)
    return torch.cat([_attend(*clip, heads) for clip in clips])


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """One clip at a time: its tokens are then a view, and the batch of places stays below the 65,535 that fused
    kernels take (up to about 2000 x 2000 pixels)."""
    q, k, v = (rearrange(x, "t s (h d) -> s h t d", h=heads) for x in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v), "s h t d -> t s (h d)")
