"""A whole clip as one small picture, for the editor to play while it is sampled.

The decoder is far too slow for this. A linear map from a latent's four channels to colours, of a pixel or of its
neighbours too, stands in for it: one pixel a latent pixel, soft and nearly right in colour.
"""

from dataclasses import dataclass
from io import BytesIO

import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image
from torch import Tensor

from ..svd.config import UNetConfig
from .nano_colours import KERNEL

PIXELS = 1 << 18  # of a strip: 25 frames of 1024 x 576 have 230,400
LONGEST = 1 << 14  # pixels along it: browsers and JPEG draw no more than twice that
CLIPS = 4  # of a batch, beside each other
QUALITY = 80
NANO_CHANNELS = (64, 128, 128)


@dataclass(frozen=True)
class Colours:
    """From latents with unit variance to red, green and blue in -1..1. kernel: (3, 4, k, k), k odd; bias: (3,)."""

    kernel: Tensor
    bias: Tensor

    def of(self, latents: Tensor) -> Tensor:
        """n 4 h w -> n 3 h w"""
        margin = (self.kernel.shape[-1] // 2,) * 4
        return F.conv2d(F.pad(latents, margin, mode="replicate"), self.kernel.to(latents), self.bias.to(latents))


def own_colours(config: UNetConfig) -> Colours | None:
    """The map of svd-nano, whose latents are not Stable Diffusion's; None for models that share those."""
    if config.block_out_channels != NANO_CHANNELS:
        return None
    kernel = torch.tensor(KERNEL, dtype=torch.float32, device="cpu").unflatten(-1, (3, 3))
    return Colours(kernel, torch.zeros_like(kernel[:, 0, 0, 0]))


@dataclass(frozen=True)
class Strip:
    """`frames` pictures below each other, as a JPEG file; width and height of one of them."""

    jpeg: bytes
    frames: int
    width: int
    height: int


def film_strip(latents: Tensor, frames: int, colours: Colours) -> Strip:
    """latents: (b t) 4 h w with unit variance."""
    clips = latents[: CLIPS * frames].float()
    rgb = _small(colours.of(clips), len(clips) // frames, frames)
    shades = ((rgb + 1) * 127.5).clamp(0, 255).byte()
    pixels = rearrange(shades, "(b t) c h w -> (t h) (b w) c", t=frames).cpu().numpy()
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return Strip(file.getvalue(), frames, pixels.shape[1], pixels.shape[0] // frames)


def _small(clips: Tensor, wide: int, high: int) -> Tensor:
    """At the size at which `wide` clips of `high` frames stay within the bounds."""
    height, width = clips.shape[-2:]
    pixels = wide * high * height * width
    scale = min(1.0, (PIXELS / pixels) ** 0.5, LONGEST / (high * height), LONGEST / (wide * width))
    if scale == 1:
        return clips
    return F.interpolate(clips, size=(max(1, int(height * scale)), max(1, int(width * scale))), mode="area")
