"""Transformers over space and over time.

Tokens stay in one layout, `(b t) s c` with s = h w, which in channels-last memory is the feature map itself. Only the
attention over time regroups them, and only inside itself.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import GROUPS, Ops, TimeMixer, embedding_mlp, sinusoid


class Attention(nn.Module):
    """Multi-head attention; keys and values from `context`, or from the tokens themselves."""

    def __init__(self, channels: int, heads: int, c_context: int, ops: Ops) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = ops.Linear(channels, channels, bias=False)
        self.to_k = ops.Linear(c_context, channels, bias=False)
        self.to_v = ops.Linear(c_context, channels, bias=False)
        self.to_out = nn.Sequential(ops.Linear(channels, channels), nn.Identity())  # Identity: training's dropout

    def over_space(self, x: Tensor) -> Tensor:
        """Self-attention among the tokens of each frame. (b t) s c -> (b t) s c"""
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        return self.to_out(self._attend(q, k, v, "n s (h d) -> n h s d"))

    def over_time(self, x: Tensor, frames: int) -> Tensor:
        """Self-attention among the frames at each place. (b t) s c -> (b t) s c

        One clip at a time: its tokens are then a view, and the batch of places stays below the 65,535 that fused
        kernels take (up to about 2000 x 2000 pixels).
        """
        clips = zip(*(y.split(frames) for y in (self.to_q(x), self.to_k(x), self.to_v(x))), strict=True)
        return self.to_out(torch.cat([self._attend(q, k, v, "t s (h d) -> s h t d") for q, k, v in clips]))

    def over_context(self, x: Tensor, context: Tensor, frames: int) -> Tensor:
        """Cross-attention of every token of a clip to the clip's context. (b t) s c, b n c_context -> (b t) s|1 c

        The softmax over a single context token is 1, so then the result is W_o W_v context + b_o for every query: it is
        exact to leave the queries, and the norm before them, out.
        """
        if context.shape[1] == 1:
            return self.to_out(self.to_v(context)).repeat_interleave(frames, dim=0)
        q = rearrange(self.to_q(x), "(b t) s c -> b (t s) c", t=frames)
        y = self._attend(q, self.to_k(context), self.to_v(context), "b s (h d) -> b h s d")
        return self.to_out(rearrange(y, "b (t s) c -> (b t) s c", t=frames))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, split_heads: str) -> Tensor:
        q, k, v = (rearrange(y, split_heads, h=self.heads) for y in (q, k, v))
        joined, split = split_heads.split(" -> ")
        return rearrange(F.scaled_dot_product_attention(q, k, v), f"{split} -> {joined}")


class GEGLU(nn.Module):
    """x gelu(gate), with the exact (erf) gelu. ... c_in -> ... c_out"""

    def __init__(self, c_in: int, c_out: int, ops: Ops) -> None:
        super().__init__()
        self.proj = ops.Linear(c_in, 2 * c_out)

    def forward(self, x: Tensor) -> Tensor:
        x, gate = self.proj(x).chunk(2, dim=-1)
        return x * F.gelu(gate)


class FeedForward(nn.Module):
    """GEGLU to four times the width and back. Tokens do not see each other, so pieces give the same result."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        inner = 4 * channels
        self.net = nn.Sequential(GEGLU(channels, inner, ops), nn.Identity(), ops.Linear(inner, channels))
        self.chunk_size: int | None = None  # see UNet.enable_forward_chunking
        self.chunk_dim = 0

    def forward(self, x: Tensor) -> Tensor:
        """n s c -> n s c"""
        if self.chunk_size is None:
            return self.net(x)
        pieces = x.split(self.chunk_size, dim=self.chunk_dim)
        return torch.cat([self.net(piece) for piece in pieces], dim=self.chunk_dim)


class SpatialBlock(nn.Module):
    """Self-attention within each frame, cross-attention to the picture's embedding, feed-forward."""

    def __init__(self, channels: int, heads: int, c_context: int, ops: Ops) -> None:
        super().__init__()
        self.attn1 = Attention(channels, heads, channels, ops)
        self.ff = FeedForward(channels, ops)
        self.attn2 = Attention(channels, heads, c_context, ops)
        self.norm1 = ops.LayerNorm(channels)
        self.norm2 = ops.LayerNorm(channels)
        self.norm3 = ops.LayerNorm(channels)

    def forward(self, x: Tensor, context: Tensor, frames: int) -> Tensor:
        """(b t) s c, b n c_context -> (b t) s c"""
        x = x + self.attn1.over_space(self.norm1(x))
        x = x + self._cross_attention(x, context, frames)
        return x + self.ff(self.norm3(x))

    def _cross_attention(self, x: Tensor, context: Tensor, frames: int) -> Tensor:
        queries = self.norm2(x) if context.shape[1] > 1 else x  # one token: the queries are not looked at
        return self.attn2.over_context(queries, context, frames)


class TemporalBlock(SpatialBlock):
    """The same, with attention along the frames at each place, and a feed-forward before it."""

    def __init__(self, channels: int, heads: int, c_context: int, ops: Ops) -> None:
        super().__init__(channels, heads, c_context, ops)
        self.norm_in = ops.LayerNorm(channels)
        self.ff_in = FeedForward(channels, ops)

    def forward(self, x: Tensor, context: Tensor, frames: int) -> Tensor:
        """(b t) s c, b n c_context -> (b t) s c"""
        x = x + self.ff_in(self.norm_in(x))
        x = x + self.attn1.over_time(self.norm1(x), frames)
        x = x + self._cross_attention(x, context, frames)
        return x + self.ff(self.norm3(x))


class SpatialVideoTransformer(nn.Module):
    """Spatial blocks, each followed by a temporal block on its result and the learned blend of the two."""

    def __init__(self, channels: int, heads: int, depth: int, c_context: int, ops: Ops) -> None:
        super().__init__()
        self.channels = channels
        self.norm = ops.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = ops.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(SpatialBlock(channels, heads, c_context, ops) for _ in range(depth))
        self.time_stack = nn.ModuleList(TemporalBlock(channels, heads, c_context, ops) for _ in range(depth))
        self.time_pos_embed = embedding_mlp(channels, 4 * channels, channels, ops)
        self.time_mixer = TimeMixer()
        self.proj_out = ops.Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor, frames: int) -> Tensor:
        """(b t) c h w, b n c_context -> (b t) c h w"""
        clips, height = len(context), x.shape[-2]
        frame_index = torch.arange(frames, device=x.device)
        frame_emb = self.time_pos_embed(sinusoid(frame_index, self.channels).to(x.dtype))  # t c
        frame_emb = frame_emb.repeat(clips, 1)[:, None]  # (b t) 1 c

        tokens = self.proj_in(rearrange(self.norm(x), "n c h w -> n (h w) c"))
        for spatial_block, temporal_block in zip(self.transformer_blocks, self.time_stack, strict=True):
            tokens = spatial_block(tokens, context, frames)
            tokens = self.time_mixer(tokens, temporal_block(tokens + frame_emb, context, frames))
        return x + rearrange(self.proj_out(tokens), "n (h w) c -> n c h w", h=height)
