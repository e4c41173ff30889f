"""The autoencoder: pictures to latents and, with temporal layers, latents back to a clip (arXiv:2311.15127, app. D).

Its module tree is the single-file checkpoint's: `encoder`, `quant_conv`, `decoder`, and in image-decoder files
`post_quant_conv`.
"""

from itertools import pairwise
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .config import VAEConfig
from .kernels import add_and_measure, group_norm, unbiased, wide_attention
from .layers import GROUPS, Ops, TimeResBlock, Upsample, as_clip, as_images, plus, share


class ResnetBlock(nn.Module):
    """GroupNorm SiLU conv, twice, plus input, on each frame by itself."""

    def __init__(self, c_in: int, c_out: int, ops: Ops) -> None:
        super().__init__()
        self.norm1 = ops.GroupNorm(GROUPS, c_in, eps=1e-6)
        self.conv1 = ops.Conv2d(c_in, c_out, 3, padding=1)
        self.norm2 = ops.GroupNorm(GROUPS, c_out, eps=1e-6)
        self.conv2 = ops.Conv2d(c_out, c_out, 3, padding=1)
        self.nin_shortcut = nn.Identity() if c_in == c_out else ops.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(b t) c_in h w -> (b t) c_out h w"""
        return self.measured(x)[0]

    def measured(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The same, and the result's moments if they cost nothing. Without gradients x is used up."""
        skip, skip_bias = unbiased(self.nin_shortcut, x)
        h, bias = unbiased(self.conv1, group_norm(x, self.norm1, used_up=skip is not x))
        h, bias = unbiased(self.conv2, group_norm(h, self.norm2, bias, used_up=True))
        return add_and_measure(skip, h, plus(bias, skip_bias))


class VideoResnetBlock(ResnetBlock):
    """The same, then a residual block over time, and a blend whose weight (unlike the UNet's) is the temporal share."""

    def __init__(self, c_in: int, c_out: int, ops: Ops) -> None:
        super().__init__(c_in, c_out, ops)
        self.time_stack = TimeResBlock(c_out, None, ops)
        self.mix_factor = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        x, moments = self.measured(x)
        blend, _ = self.time_stack(as_clip(x, frames), share(self.mix_factor, x.device), moments=moments)
        return as_images(blend, x.shape[-2])


class AttnBlock(nn.Module):
    """Single-head self-attention over a frame's places. Its linear layers are stored as 1x1 convolutions."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.norm = ops.GroupNorm(GROUPS, channels, eps=1e-6)
        self.q = ops.Conv2d(channels, channels, 1)
        self.k = ops.Conv2d(channels, channels, 1)
        self.v = ops.Conv2d(channels, channels, 1)
        self.proj_out = ops.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """n c h w -> n c h w"""
        h = group_norm(x, self.norm, silu=False)
        q, k, v = (rearrange(conv(h), "n c h w -> n (h w) c") for conv in (self.q, self.k, self.v))
        h = wide_attention(q, k, v)
        return x + self.proj_out(rearrange(h, "n (h w) c -> n c h w", h=x.shape[-2]))


class Middle(nn.Module):
    """At the coarsest level: block, attention, block.

    That is SVD's, with `blocks` = 2. diffusers can make decoders with one block, which run no attention, or with more
    than two, of which the rest is never run; those weights too get their place, so that such files load and save.
    """

    block_1: ResnetBlock
    block_2: ResnetBlock

    def __init__(self, channels: int, blocks: int, block: type[ResnetBlock], ops: Ops) -> None:
        super().__init__()
        for i in range(1, blocks + 1):
            self.add_module(f"block_{i}", block(channels, channels, ops))
        self.attn_1 = AttnBlock(channels, ops)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        x = self.block_1(x, frames)
        if hasattr(self, "block_2"):
            x = self.block_2(self.attn_1(x), frames)
        return x


class Level(nn.Module):
    """The blocks of one resolution; the owner adds the step to the next as `downsample` or `upsample`."""

    downsample: nn.Module
    upsample: Upsample | None

    def __init__(self, widths: list[int], block: type[ResnetBlock], ops: Ops) -> None:
        super().__init__()
        self.block = nn.ModuleList(block(c_in, c_out, ops) for c_in, c_out in pairwise(widths))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        for block in self.block:
            x = block(x, frames)
        return x


class Downsample(nn.Module):
    """Halves height and width. The zero row and column go below and to the right alone."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Encoder(nn.Module):
    """Pictures to the moments (mean, log variance) of their latents."""

    def __init__(self, config: VAEConfig, ops: Ops) -> None:
        super().__init__()
        channels = config.block_out_channels
        self.conv_in = ops.Conv2d(config.in_channels, channels[0], 3, padding=1)
        self.down: Any = nn.ModuleList()
        for i, width in enumerate(channels):
            level = Level([channels[max(i - 1, 0)], *[width] * config.layers_per_block], ResnetBlock, ops)
            level.downsample = Downsample(width, ops) if i < len(channels) - 1 else nn.Identity()
            self.down.append(level)
        self.mid = Middle(channels[-1], 2, ResnetBlock, ops)
        self.norm_out = ops.GroupNorm(GROUPS, channels[-1], eps=1e-6)
        self.conv_out = ops.Conv2d(channels[-1], 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """n 3 H W -> n (2 c) h w"""
        h = self.conv_in(x)
        for level in self.down:
            h = level.downsample(level(h, frames=1))
        return self.conv_out(group_norm(self.mid(h, frames=1), self.norm_out))


class Decoder(nn.Module):
    """Latents to frames. With temporal layers every frame sees all others, through the norms over time."""

    def __init__(self, config: VAEConfig, ops: Ops) -> None:
        super().__init__()
        channels, layers = config.block_out_channels, config.layers_per_block + 1
        block = VideoResnetBlock if config.temporal_decoder else ResnetBlock
        self.conv_in = ops.Conv2d(config.latent_channels, channels[-1], 3, padding=1)
        self.mid = Middle(channels[-1], config.decoder_mid_layers, block, ops)
        self.up: Any = nn.ModuleList()
        for i, width in enumerate(channels):
            level = Level([channels[min(i + 1, len(channels) - 1)], *[width] * layers], block, ops)
            level.upsample = Upsample(width, ops) if i > 0 else None
            self.up.append(level)
        self.norm_out = ops.GroupNorm(GROUPS, channels[0], eps=1e-6)
        self.conv_out: Any = ops.Conv2d(channels[0], config.out_channels, 3, padding=1)
        if config.temporal_decoder:  # the checkpoint files it under the spatial convolution
            mix = ops.Conv2d(config.out_channels, config.out_channels, (3, 1), padding=(1, 0))
            self.conv_out.add_module("time_mix_conv", mix)

    def forward(self, z: Tensor, frames: int) -> Tensor:
        """(b t) c h w -> (b t) 3 H W"""
        h = self.mid(self.conv_in(z), frames)
        for level in reversed(self.up):
            h = level(h, frames)
            if level.upsample is not None:
                h = level.upsample(h)
        x = self.conv_out(group_norm(h, self.norm_out))
        if hasattr(self.conv_out, "time_mix_conv"):
            x = as_images(self.conv_out.time_mix_conv(as_clip(x, frames)), x.shape[-2])
        return x


class VAE(nn.Module):
    """Encoder and decoder. Each computes in its own weights' precision: the encoder is kept in fp32 by the loader."""

    def __init__(self, config: VAEConfig, ops: Ops = nn) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, ops)
        self.decoder = Decoder(config, ops)
        c, moments = config.latent_channels, 2 * config.latent_channels
        self.quant_conv = ops.Conv2d(moments, moments, 1) if config.quant_conv else nn.Identity()
        self.post_quant_conv = ops.Conv2d(c, c, 1) if config.post_quant_conv else nn.Identity()

    @property
    def dtype(self) -> torch.dtype:
        """The decoder's precision."""
        return self.decoder.conv_in.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def encode(self, image: Tensor) -> Tensor:
        """Pictures in -1..1 to the mode of their latents, n 3 H W -> n c h w, not scaled, in the encoder's dtype."""
        x = image.to(self.encoder.conv_in.weight.dtype).contiguous(memory_format=torch.channels_last)
        mean, _log_variance = self.quant_conv(self.encoder(x)).chunk(2, dim=1)
        return mean

    def decode(self, latent: Tensor, frames: int) -> Tensor:
        """Latents at the VAE's scale to frames in -1..1: (b t) c h w -> (b t) 3 H W, in the decoder's precision."""
        z = latent.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return self.decoder(self.post_quant_conv(z), frames)
