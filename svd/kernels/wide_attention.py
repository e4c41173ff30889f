"""Attention with one head that is wider than fused kernels take."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .choice import fast

WIDEST = 256  # of a head, for the fused kernels
WIDENS = hasattr(torch.ops.aten.mm, "dtype")  # products of half precision with a result in fp32, from torch 2.8 on


def wide_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(c)) v among the tokens of each image: n s c -> n s c"""
    if WIDENS and q.shape[-1] > WIDEST and fast(q):
        from .gpu import wide_attention as gpu

        return gpu.wide_attention(q, k, v)
    return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
