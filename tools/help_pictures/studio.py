"""Clips of svd-nano, each rendered once."""

import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...svd import (
    Models,
    align_your_steps_sigmas,
    clip_generators,
    condition,
    decode,
    draw_noise,
    encode_clip,
    encode_latent,
    fit_image,
    guidance_scale,
    karras_sigmas,
    load,
    read_picture,
    sample,
    start,
    to_tensor,
)

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "assets" / "checkpoints" / "svd_nano.safetensors"
PICTURE = ROOT / "web" / "pictures" / "lighthouse.png"

Film = list[Image.Image]


def quickstart() -> dict[str, int]:
    """The motion bucket and the seed of the quickstart, from the template itself."""
    nodes = json.loads((ROOT / "workflows" / "api" / "quickstart.json").read_text()).values()
    inputs = {name: value for node in nodes for name, value in node["inputs"].items()}
    return {name: inputs[name] for name in ("motion_bucket_id", "seed")}


@dataclass(frozen=True)
class Settings:
    """Of one clip; the defaults are those of the quickstart, with less motion."""

    width: int = 256
    height: int = 256
    fps: int = 7
    motion_bucket_id: int = 64
    noise_aug_strength: float = 0.02
    frames: int = 14
    steps: int = 12
    guidance: str = "linear"
    min_guidance: float = 1.0
    max_guidance: float = 2.0
    schedule: str = "karras"
    seed: int = 0
    frames_per_chunk: int = 14


@dataclass
class Studio:
    """Renders clips of the bundled picture in fp32; the same settings a second time cost nothing."""

    checkpoint: Path = CHECKPOINT
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    _latents: dict[Settings, Tensor] = field(default_factory=dict)
    _films: dict[Settings, Film] = field(default_factory=dict)

    @cached_property
    def picture(self) -> Image.Image:
        return read_picture(PICTURE)

    def fitted(self, width: int, height: int, fit: str = "crop") -> Tensor:
        return fit_image(to_tensor(self.picture), width, height, fit)

    def film(self, **changes: object) -> Film:
        """The frames of the clip with these settings."""
        settings = replace(Settings(), **changes)  # type: ignore[arg-type]
        if settings not in self._films:
            latent = self._latent(replace(settings, frames_per_chunk=Settings.frames_per_chunk))
            frames = decode(self._models.vae, latent, settings.frames, settings.frames_per_chunk)
            self._films[settings] = to_pictures(frames.cpu())
        return self._films[settings]

    @cached_property
    def _models(self) -> Models:
        return load(self.checkpoint, torch.float32, self.device)

    def _latent(self, settings: Settings) -> Tensor:
        if settings not in self._latents:
            self._latents[settings] = self._sample(settings)
        return self._latents[settings]

    def _sample(self, s: Settings) -> Tensor:
        print(
            "rendering",
            {k: v for k, v in asdict(s).items() if v != getattr(Settings, k)} or "the usual clip",
            flush=True,
        )
        picture = self.fitted(s.width, s.height).to(self.device)
        noise = draw_noise(clip_generators(s.seed, 1), 1, 3, s.height, s.width).to(self.device)
        image_latent = encode_latent(self._models.vae, picture, s.noise_aug_strength, noise)
        told = condition(encode_clip(self._models.clip, picture), image_latent, s.fps, s.motion_bucket_id)
        make = karras_sigmas if s.schedule == "karras" else align_your_steps_sigmas
        sigmas, scale = make(s.steps), guidance_scale(s.guidance, s.min_guidance, s.max_guidance, s.frames)
        x = start(draw_noise(clip_generators(s.seed, 1), s.frames, 4, s.height // 8, s.width // 8), sigmas[0])
        return sample(self._models.unet, told, x.to(self.device), sigmas, scale)


def to_pictures(frames: Tensor) -> Film:
    """n 3 h w in 0..1 -> pictures."""
    array: NDArray[np.uint8] = (frames.clamp(0, 1) * 255).round().byte().movedim(1, -1).numpy()
    return [Image.fromarray(frame) for frame in array]
