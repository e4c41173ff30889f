"""From a picture to what the UNet is told: CLIP embedding, noised picture latent, and three numbers."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .clip import MEAN, STD, clip_pixels
from .errors import InputError, NonFiniteError
from .image import rgb
from .inference import inference
from .vae import VAE

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection


@dataclass(frozen=True)
class ImageLatent:
    """The pictures' latents, b c h w fp32 (not scaled), and how much noise was added to the pictures before."""

    latent: Tensor
    noise_aug_strength: float


@dataclass(frozen=True)
class Conditioning:
    """What a batch of b clips is told.

    context: (b n c), CLIP embedding. concat: (b c h w), the picture's latent, the same for every frame. scalars: (b k)
    fp32: the embedded fps (user's fps - 1), motion bucket and augmentation strength.
    """

    context: Tensor
    concat: Tensor
    scalars: Tensor

    def unconditional(self) -> "Conditioning":
        """No picture: zeros (not the embedding of a black picture). The numbers stay."""
        return replace(self, context=torch.zeros_like(self.context), concat=torch.zeros_like(self.concat))

    def cat(self, other: "Conditioning") -> "Conditioning":
        """This batch followed by another."""
        return Conditioning(
            torch.cat([self.context, other.context]),
            torch.cat([self.concat, other.concat]),
            torch.cat([self.scalars, other.scalars]),
        )

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Conditioning":
        """For a network on `device` in `dtype`. The numbers stay fp32: they become sinusoids first."""
        return Conditioning(
            self.context.to(device, dtype), self.concat.to(device, dtype), self.scalars.to(device, torch.float32)
        )


@inference
def encode_clip(
    clip: "CLIPVisionModelWithProjection", image: Tensor, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD
) -> Tensor:
    """CLIP's projected embedding of each picture, not normalised to unit length: (b 3 h w) in 0..1 -> (b 1 c).

    `image` is on the encoder's device. InputError on an unusable picture, NonFiniteError on an unusable result.
    """
    weight = clip.visual_projection.weight
    pixels = clip_pixels(rgb(image), clip.config.image_size, mean, std)
    return _finite(clip(pixel_values=pixels.to(weight.dtype)).image_embeds[:, None], "The CLIP embedding")


@inference
def encode_latent(
    vae: VAE, image: Tensor, noise_aug_strength: float = 0.02, noise: Tensor | None = None
) -> ImageLatent:
    """Unit `noise` times the strength on the pictures in -1..1, then the VAE's mode: (b 3 H W) -> (b c H/8 W/8).

    `image` is in 0..1, on the VAE's device; H and W divide by the VAE's 8; `noise` has the image's shape, and is not
    needed at strength 0. InputError otherwise, NonFiniteError on an unusable result.
    """
    image = rgb(image)
    check_size(image.shape[-1], image.shape[-2], vae.config.downscale, vae.config.least_cells)
    if not 0 <= noise_aug_strength < float("inf"):
        raise InputError(f"noise_aug_strength is {noise_aug_strength}: it is 0 or above (0.02 is usual).")
    x = 2 * image - 1
    if noise_aug_strength > 0:
        if noise is None or noise.shape != x.shape:
            raise InputError(f"noise_aug_strength is {noise_aug_strength}, so noise of the picture's shape is needed.")
        x = x + noise_aug_strength * noise.to(x)
    return ImageLatent(_finite(vae.encode(x).float(), "The picture's latent"), noise_aug_strength)


def condition(
    embedding: Tensor, image_latent: ImageLatent, fps: float = 7, motion_bucket_id: float = 127
) -> Conditioning:
    """Brings together what a clip is told. embedding: (b n c); image_latent: of as many pictures.

    The model was trained on fps - 1, so that is what is embedded, as a sinusoid, which takes fractions (23.976) too.
    InputError on fps below 1, on a negative motion bucket, on what is no number, and where the two encodings are not of
    the same number of pictures.
    """
    if not 1 <= fps < float("inf"):
        raise InputError(f"fps is {fps}: at least 1 is needed (7 is usual).")
    if not 0 <= motion_bucket_id < float("inf"):
        raise InputError(f"motion_bucket_id is {motion_bucket_id}: it is 0 or above (127 is usual).")
    pictures, latents = len(embedding), len(image_latent.latent)
    if pictures != latents:
        raise InputError(f"There are {pictures} CLIP embeddings but {latents} latents: encode the same pictures twice.")
    scalars = torch.tensor(
        [fps - 1, motion_bucket_id, image_latent.noise_aug_strength], dtype=torch.float32, device="cpu"
    )
    return Conditioning(embedding, image_latent.latent, scalars.repeat(pictures, 1))


def check_size(width: int, height: int, multiple: int = 8, least: int = 1) -> None:
    """InputError, naming sizes that fit, unless both sides divide by `multiple`, the longer `least` times or more.

    multiple: pixels of a latent's cell. least: the largest `least_cells` of the networks.
    """
    if width % multiple or height % multiple:
        near = " x ".join(str(max(round(side / multiple), 1) * multiple) for side in (width, height))
        raise InputError(f"The size {width} x {height} does not divide by {multiple}: use {near}.")
    if max(width, height) < least * multiple:
        side = least * multiple
        raise InputError(f"The size {width} x {height} is too small for this checkpoint: use {side} x {side} or more.")


def _finite(x: Tensor, what: str) -> Tensor:
    if not x.isfinite().all():
        raise NonFiniteError(f"{what} came out NaN or infinite: load the model in bf16 or fp32, or check the file.")
    return x
