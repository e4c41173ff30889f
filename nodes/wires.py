"""What travels between our nodes, and the two ways across the border to the editor's own types.

IMAGE: b h w c in 0..1, c = 1, 3 or 4. LATENT: `samples` (b t) c h w in VAE scale, as core's VAE Decode and Save Latent
expect, and our `frames` t beside it. Inside the pack pictures are b 3 h w in 0..1 and latents have unit variance.
"""

from typing import Any

from torch import Tensor

from ..svd.edm import LATENT_SCALE
from ..svd.errors import InputError
from ..svd.image import rgb
from .host import io, result_device

CATEGORY = "video/Stable Video Diffusion"

Model = io.Custom("SVD_MODEL")
Clip = io.Custom("SVD_CLIP")
Vae = io.Custom("SVD_VAE")
Embedding = io.Custom("SVD_EMBEDDING")
ImageLatent = io.Custom("SVD_IMAGE_LATENT")
Conditioning = io.Custom("SVD_CONDITIONING")

Latent = dict[str, Any]


def from_image(image: Tensor) -> Tensor:
    """b h w c -> b 3 h w, transparency on white. InputError on anything that is no picture."""
    return rgb(image.movedim(-1, 1)).clamp(0, 1)


def to_image(frames: Tensor) -> Tensor:
    """n c h w -> n h w c, fp32, where the host keeps results."""
    return frames.movedim(1, -1).float().contiguous().to(result_device())


def from_latent(latent: Latent) -> tuple[Tensor, int]:
    """((b t) c h w with unit variance, t). A latent that carries no frame count is one clip. InputError on others."""
    samples = latent["samples"]
    if samples.ndim != 4 or samples.shape[1] != 4:
        raise InputError(
            f"The latent has shape {tuple(samples.shape)}: expected frames, 4 channels, height and width; "
            "connect the latent of an SVD Sampler."
        )
    if not samples.isfinite().all():
        raise InputError("The latent contains NaN or infinite values: check the node that made it.")
    frames = latent.get("frames", len(samples))
    if not len(samples) or len(samples) % frames:
        raise InputError(
            f"The latent has {len(samples)} frames, which does not make whole clips of {frames}: "
            "connect the latent of an SVD Sampler as it is."
        )
    return samples.float() * LATENT_SCALE, frames


def to_latent(latents: Tensor, frames: int) -> Latent:
    """(b t) c h w with unit variance -> what the LATENT wire carries."""
    return {"samples": (latents.float() / LATENT_SCALE).contiguous().to(result_device()), "frames": frames}
