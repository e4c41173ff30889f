"""The spatio-temporal UNet of Stable Video Diffusion (arXiv:2311.15127; the temporal layers are arXiv:2304.08818's).

Its module tree is the single-file checkpoint's tree, name for name.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import FeedForward, SpatialVideoTransformer
from .config import UNetConfig
from .errors import InputError
from .kernels import added, concatenate_and_measure, group_norm, unbiased
from .layers import GROUPS, Downsample, Ops, Upsample, VideoResBlock, embedding_mlp, sinusoid


class Stage(nn.ModuleList):
    """One entry of the UNet's lists: the layers between two skip connections."""


class Map(NamedTuple):
    """A feature map (n c h w), and what its next reader adds on its way or need not take anew.

    add: a vector (c,) for all places, the bias of the layer before. moments: the map's, for a norm.
    """

    x: Tensor
    add: Tensor | None = None
    moments: Tensor | None = None


class Told(NamedTuple):
    """What all layers are told beside the map."""

    emb: Tensor  # (b t) c, of every frame
    context: Tensor  # b n c, of every clip
    waves: dict[int, Tensor]  # t c by c, the sinusoids of the frames' numbers
    frames: int  # t


def run(stage: Any, given: Map, told: Told, size: tuple[int, int] | None = None) -> Map:
    """A stage. A function and not its forward, since a module's call would hold x in memory until the last layer."""
    x, add, moments = given
    del given
    for layer in stage:
        if isinstance(layer, VideoResBlock):
            (x, moments), add = layer(x, told.emb, told.frames, add, moments), None
        elif isinstance(layer, SpatialVideoTransformer):
            # It follows a residual block, so nothing is left to be added to x.
            (x, add), moments = layer(x, told.context, told.waves[layer.channels], moments), None
        elif isinstance(layer, Upsample):
            x, add, moments = layer(added(x, add), size), None, None
        else:
            (x, add), moments = unbiased(layer, added(x, add)), None
    return Map(x, add, moments)


def join(a: Map, b: Map) -> Map:
    """The two, channel by channel."""
    x, moments = concatenate_and_measure(a.x, b.x, a.add, b.add)
    return Map(x, moments=moments)


class UNet(nn.Module):
    """F(x_in; c_noise, conditioning): what SVD's denoiser is made of (see edm.c_out and sampler.guided_denoiser)."""

    def __init__(self, config: UNetConfig, ops: Ops = nn) -> None:
        super().__init__()
        self.config = config
        channels, layers = config.block_out_channels, config.layers_per_block
        c_emb = 4 * channels[0]

        def res(c_in: int, c_out: int) -> VideoResBlock:
            return VideoResBlock(c_in, c_out, c_emb, ops)

        def transformer(level: int) -> SpatialVideoTransformer:
            heads, depth = config.num_attention_heads[level], config.transformer_layers_per_block[level]
            return SpatialVideoTransformer(channels[level], heads, depth, config.cross_attention_dim[level], ops)

        self.time_embed = embedding_mlp(channels[0], c_emb, c_emb, ops)
        self.label_emb = nn.Sequential(embedding_mlp(config.projection_class_embeddings_input_dim, c_emb, c_emb, ops))

        c, last = channels[0], len(channels) - 1
        self.input_blocks = nn.ModuleList([Stage([ops.Conv2d(config.in_channels, c, 3, padding=1)])])
        skips = [c]
        for level, width in enumerate(channels):
            for _ in range(layers[level]):
                attention = [transformer(level)] if config.down_attention[level] else []
                self.input_blocks.append(Stage([res(c, width), *attention]))
                skips.append(c := width)
            if level < last:
                self.input_blocks.append(Stage([Downsample(c, ops)]))
                skips.append(c)

        self.middle_block = Stage([res(c, c), transformer(last), res(c, c)])

        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(channels))):
            for layer in range(layers[level] + 1):
                attention = [transformer(level)] if config.up_attention[level] else []
                upsample = [Upsample(width, ops)] if level > 0 and layer == layers[level] else []
                self.output_blocks.append(Stage([res(c + skips.pop(), width), *attention, *upsample]))
                c = width

        self.out = nn.Sequential(
            ops.GroupNorm(GROUPS, c, eps=1e-5), nn.SiLU(), ops.Conv2d(c, config.out_channels, 3, padding=1)
        )

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in: x and context come in it."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, x: Tensor, c_noise: Tensor, context: Tensor, scalars: Tensor, frames: int) -> Tensor:
        """(b t) c_in h w -> (b t) c_out h w

        x: scaled noisy latents, and after them in the channels the picture's latent. c_noise: (b) or a number.
        context: (b n c_context), the picture's CLIP embedding. scalars: (b k), or (b t k) where they change along the
        clip, the micro-conditioning as plain numbers (fps - 1, motion bucket, augmentation strength).
        """
        if not len(x) == len(context) * frames == len(scalars) * frames:
            counts = f"{len(x)} images, {len(context)} contexts, {len(scalars)} rows of scalars"
            raise InputError(f"{counts} and clips of {frames} frames do not fit: a clip has a context and scalars.")
        emb = self._embed(c_noise, scalars, len(context), frames, x.dtype)
        numbers = torch.arange(frames, device=x.device)
        waves = {c: sinusoid(numbers, c).to(x.dtype) for c in dict.fromkeys(self.config.block_out_channels)}
        told = Told(emb, context, waves, frames)
        # The skips, and last what comes out of the last stage.
        maps = [Map(x.contiguous(memory_format=torch.channels_last))]
        for stage in self.input_blocks:
            maps.append(run(stage, maps[-1], told))
        maps = [*maps[1:], run(self.middle_block, maps[-1], told)]
        for stage in self.output_blocks:
            size = (maps[-3].x.shape[-2], maps[-3].x.shape[-1]) if len(maps) > 2 else None
            maps.append(run(stage, join(maps.pop(), maps.pop()), told, size))
        ((h, add, moments),) = maps
        norm, _, conv = self.out
        return conv(group_norm(h, norm, add, moments=moments))

    def _embed(self, c_noise: Tensor, scalars: Tensor, clips: int, frames: int, dtype: torch.dtype) -> Tensor:
        """Noise level and micro-conditioning as one embedding per frame, (b t) c_emb, after its SiLU."""
        time = self.time_embed(sinusoid(c_noise.expand(clips), self.config.block_out_channels[0]).to(dtype))  # b c
        if scalars.ndim == 2:
            scalars = scalars[:, None].expand(-1, frames, -1)
        sizes = self.config.addition_time_embed_dim
        vector = torch.cat([sinusoid(s, size) for s, size in zip(scalars.unbind(-1), sizes, strict=True)], dim=-1)
        return F.silu(time[:, None] + self.label_emb(vector.to(dtype))).flatten(0, 1)

    def enable_forward_chunking(self, chunk_size: int | None = None, dim: int = 0) -> None:
        """Runs every feed-forward in pieces of `chunk_size` (default 1) along `dim` (0: frames, 1: places).

        Less memory, the same result. Temporal feed-forwards too. ValueError on another dim.
        """
        if dim not in (0, 1):
            raise ValueError(f"dim is {dim}: feed-forwards can be chunked along 0 (frames) or 1 (places).")
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}: at least 1 is needed.")
        self._chunk_feed_forward(chunk_size or 1, dim)

    def disable_forward_chunking(self) -> None:
        """Runs every feed-forward in one piece again."""
        self._chunk_feed_forward(None, 0)

    def _chunk_feed_forward(self, chunk_size: int | None, dim: int) -> None:
        for module in self.modules():
            if isinstance(module, FeedForward):
                module.chunk_size, module.chunk_dim = chunk_size, dim
