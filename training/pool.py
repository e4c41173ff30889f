"""Clips as the UNet sees them, made once and drawn many times: latents, conditions and what is told."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import torch
from einops import rearrange
from torch import Tensor

from ..svd.clip import clip_pixels
from ..svd.edm import LATENT_SCALE
from ..svd.vae import VAE
from .camera import Clips, film
from .draw import Draw
from .vae import pick

AUG_MEAN, AUG_STD = -3.0, 0.5  # of log noise_aug_strength, arXiv:2311.15127, appendix D


@dataclass
class Samples:
    """b clips: latents in the sampler's scale, the picture's latent, CLIP's pixels, the three numbers."""

    latents: Tensor  # b t 4 h w
    concat: Tensor  # b 4 h w
    pixels: Tensor  # b 3 s s
    scalars: Tensor  # b 3

    def __getitem__(self, index: Tensor) -> "Samples":
        return Samples(self.latents[index], self.concat[index], self.pixels[index], self.scalars[index])

    def __setitem__(self, index: Tensor, new: "Samples") -> None:
        self.latents[index], self.concat[index] = new.latents, new.concat
        self.pixels[index], self.scalars[index] = new.pixels, new.scalars


@dataclass(frozen=True)
class Studio:
    """Makes samples out of canvases: films them and encodes the film."""

    vae: VAE
    draw: Draw
    canvases: Tensor
    cutouts: Tensor
    clip_size: int = 224
    turn: Iterator[int] = field(default_factory=count)

    @torch.no_grad()
    def samples(self, clips: int, frames: int, height: int, width: int) -> Samples:
        """`clips` clips of one shape, in latent cells; every fourth call with something in front."""
        draw = self.draw
        front = pick(draw, self.cutouts, clips).float() if next(self.turn) % 4 == 0 else None
        return self._encode(film(draw, pick(draw, self.canvases, clips), frames, 8 * height, 8 * width, front))

    def _encode(self, clips: Clips) -> Samples:
        first, draw = clips.frames[:, 0], self.draw
        strength = (AUG_MEAN + AUG_STD * draw.normal(len(first))).exp()
        noised = 2 * first - 1 + strength[:, None, None, None] * draw.normal(*first.shape)
        images = torch.cat([rearrange(2 * clips.frames - 1, "b t c h w -> (b t) c h w"), noised])
        latents = self.vae.encode(images).float()
        film_latents, concat = latents[: -len(first)], latents[-len(first) :]
        scaled = rearrange(film_latents * LATENT_SCALE, "(b t) c h w -> b t c h w", b=len(first))
        pixels = clip_pixels(first, self.clip_size)
        scalars = torch.stack([clips.fps - 1, clips.bucket, strength], dim=-1)
        return Samples(scaled.half(), concat.half(), pixels.half(), scalars)

    def pool(self, clips: int, frames: int, height: int, width: int, at_once: int = 16) -> Samples:
        """`clips` clips, a multiple of `at_once`."""
        made = [self.samples(at_once, frames, height, width) for _ in range(clips // at_once)]
        return Samples(
            *(torch.cat([getattr(m, name) for m in made]) for name in ("latents", "concat", "pixels", "scalars"))
        )
