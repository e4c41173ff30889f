"""Transformers over space and over time.

Tokens stay in one layout, `(b t) s c` with s = h w, which in channels-last memory is the feature map itself. Only the
attention over time regroups them, and only inside itself.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from .kernels import (
    add_feed_forward,
    add_linear,
    attend,
    group_norm,
    layer_norm,
    layer_norm_and_copy,
    mix,
    of_frames,
    spatial_attention,
    temporal_attention,
    unbiased,
)
from .layers import GROUPS, Ops, TimeMixer, embedding_mlp, plus


@dataclass(frozen=True)
class Stream:
    """A residual stream: tokens ((b t) s c), and a vector that is still to be added to all tokens of a frame, or None.

    Biases (c), the picture's cross-attention (b 1 c) and the frames' embedding (t c) are such vectors, and so are their
    sums. The next norm adds them on its way, so none of them is ever a pass over the tokens.
    """

    tokens: Tensor
    vector: Tensor | None = None

    def norm(self, norm: Any) -> Tensor:
        return layer_norm(self.tokens, norm, self.vector)

    def shifted(self, vector: Tensor | None) -> "Stream":
        return replace(self, vector=plus(self.vector, vector))

    def copied(self, norm: Any) -> tuple["Stream", Tensor]:
        """This in memory of its own, and its norm."""
        y, tokens = layer_norm_and_copy(self.tokens, norm, self.vector)
        return replace(self, tokens=tokens), y

    def plus(self, y: Tensor, linear: Any) -> "Stream":
        """This plus linear(y), in the tokens' own memory unless there are gradients."""
        tokens, bias = add_linear(self.tokens, y, linear)
        return Stream(tokens, self.vector).shifted(bias)


class Attention(nn.Module):
    """Multi-head attention; keys and values from `context`, or from the tokens themselves.

    The last linear layer, `to_out[0]`, is left to the caller, who adds its result to a stream.
    """

    def __init__(self, channels: int, heads: int, c_context: int, ops: Ops) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = ops.Linear(channels, channels, bias=False)
        self.to_k = ops.Linear(c_context, channels, bias=False)
        self.to_v = ops.Linear(c_context, channels, bias=False)
        self.to_out = nn.Sequential(ops.Linear(channels, channels), nn.Identity())  # Identity: training's dropout

    def over_space(self, x: Tensor) -> Tensor:
        """Among the tokens of each frame. (b t) s c -> (b t) s c"""
        return spatial_attention(self.to_q(x), self.to_k(x), self.to_v(x), self.heads)

    def over_time(self, x: Tensor, frames: int) -> Tensor:
        """Among the frames at each place. (b t) s c -> (b t) s c"""
        return temporal_attention(self.to_q(x), self.to_k(x), self.to_v(x), self.heads, frames)

    def over_context(self, x: Tensor, context: Tensor, frames: int) -> Tensor:
        """Of every token of a clip to the clip's context. (b t) s c, b n c_context -> (b t) s c"""
        q = rearrange(self.to_q(x), "(b t) s c -> b (t s) c", t=frames)
        out = attend(q, self.to_k(context), self.to_v(context), self.heads)
        return rearrange(out, "b (t s) c -> (b t) s c", t=frames)


class FeedForward(nn.Module):
    """GEGLU to four times the width and back. Tokens do not see each other, so pieces give the same result."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        inner = 4 * channels
        self.net = nn.Sequential(GEGLU(channels, inner, ops), nn.Identity(), ops.Linear(inner, channels))
        self.chunk_size: int | None = None  # see UNet.enable_forward_chunking
        self.chunk_dim = 0

    def added_to(self, stream: Stream, x: Tensor) -> Stream:
        """The stream plus this of x, n s c."""
        if self.chunk_size is None:
            return self._added(stream, x)
        before, pieces = (y.split(self.chunk_size, self.chunk_dim) for y in (stream.tokens, x))
        done = [self._added(replace(stream, tokens=y), piece) for y, piece in zip(before, pieces, strict=True)]
        if done[0].tokens is before[0]:  # each took its place
            return replace(done[0], tokens=stream.tokens)
        return replace(done[0], tokens=torch.cat([piece.tokens for piece in done], dim=self.chunk_dim))

    def _added(self, stream: Stream, x: Tensor) -> Stream:
        """The stream plus x gelu(gate), with the exact (erf) gelu, times the second layer."""
        tokens, bias = add_feed_forward(stream.tokens, x, self.net[0].proj, self.net[2])
        return Stream(tokens, stream.vector).shifted(bias)


class GEGLU(nn.Module):
    """The layer of value and gate, under its name in the checkpoint. Its product is FeedForward's work."""

    def __init__(self, c_in: int, c_out: int, ops: Ops) -> None:
        super().__init__()
        self.proj = ops.Linear(c_in, 2 * c_out)


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

    def forward(self, x: Stream, context: Tensor, frames: int) -> Stream:
        """(b t) s c, b n c_context -> (b t) s c"""
        x = x.plus(self.attn1.over_space(x.norm(self.norm1)), self.attn1.to_out[0])
        x = self._cross_attention(x, context, frames)
        return self.ff.added_to(x, x.norm(self.norm3))

    def _cross_attention(self, x: Stream, context: Tensor, frames: int) -> Stream:
        """The softmax over a single context token is 1, so then the result is W_o W_v context + b_o for every query:
        it is exact to leave the queries, and the norm before them, out."""
        attention = self.attn2
        if context.shape[1] == 1:
            out = attention.to_out(attention.to_v(context))
            return x.shifted(out + self._left_out(x, context) if torch.is_grad_enabled() else out)
        return x.plus(attention.over_context(x.norm(self.norm2), context, frames), attention.to_out[0])

    def _left_out(self, x: Stream, context: Tensor) -> Tensor:
        """0, whose gradient is 0 for the weights that one token leaves out.

        For DistributedDataParallel, which waits for a gradient of every weight. One token is enough.
        """
        q = self.attn2.to_q(self.norm2(x.tokens[:1, :1]))
        return (0 * q).sum() + (0 * self.attn2.to_k(context[:1])).sum()


class TemporalBlock(SpatialBlock):
    """The same, with attention along the frames at each place, and a feed-forward before it."""

    def __init__(self, channels: int, heads: int, c_context: int, ops: Ops) -> None:
        super().__init__(channels, heads, c_context, ops)
        self.norm_in = ops.LayerNorm(channels)
        self.ff_in = FeedForward(channels, ops)

    def forward(self, x: Stream, context: Tensor, frames: int) -> Stream:
        """(b t) s c, b n c_context -> (b t) s c; x's own tokens stay as they are."""
        x, y = x.copied(self.norm_in)
        x = self.ff_in.added_to(x, y)
        x = x.plus(self.attn1.over_time(x.norm(self.norm1), frames), self.attn1.to_out[0])
        x = self._cross_attention(x, context, frames)
        return self.ff.added_to(x, x.norm(self.norm3))


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

    def forward(
        self, x: Tensor, context: Tensor, waves: Tensor, moments: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(b t) c h w, b n c_context -> (b t) c h w, and a vector (c,) that is still to be added everywhere, or None.

        waves: t c, the sinusoids of the frames' numbers. moments: x's, if known. The result takes x's place in memory
        unless there are gradients.
        """
        frames, frame_emb = len(waves), self.time_pos_embed(waves)
        stream = Stream(*unbiased(self.proj_in, as_tokens(group_norm(x, self.norm, silu=False, moments=moments))))
        for spatial_block, temporal_block in zip(self.transformer_blocks, self.time_stack, strict=True):
            stream = spatial_block(stream, context, frames)
            stream = self._blend(stream, temporal_block(stream.shifted(frame_emb), context, frames))
        onto = x.clone() if x.requires_grad else x  # without gradients now, somebody may want them later
        y, bias = add_linear(as_tokens(onto), stream.tokens, self.proj_out)
        # A copy of the bias: where layers are streamed, another layer's weights soon take its place.
        return as_map(y, x.shape[-2]), None if bias is None else bias.clone()

    def _blend(self, x: Stream, y: Stream) -> Stream:
        """The spatial and the temporal stream by their shares, with nothing left to add."""
        spatial, temporal = self.time_mixer(x.tokens.device)
        vectors = [None if v is None else share * v for share, v in ((spatial, x.vector), (temporal, y.vector))]
        vector = plus(*vectors)
        if vector is not None:
            vector = of_frames(vector, len(x.tokens)).flatten(0, 1)
        return Stream(as_tokens(mix(as_map(x.tokens, 1), as_map(y.tokens, 1), spatial, temporal, vector)))


def as_tokens(x: Tensor) -> Tensor:
    """A view in channels-last memory: n c h w -> n (h w) c."""
    return rearrange(x, "n c h w -> n (h w) c")


def as_map(x: Tensor, height: int) -> Tensor:
    """The inverse: n (h w) c -> n c h w."""
    return rearrange(x, "n (h w) c -> n c h w", h=height)
