"""SVD CLIP Encode and SVD VAE Encode.

Both take one picture after the other: in the memory of one, and so that cancelling need not wait for all.
"""

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import check, memory, shortage, wires
from .host import Network, io, result_device
from .listing import ADVANCED, found_by

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

    from ..svd.vae import VAE


class EncodeClip(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoEncodeClip",
            display_name="SVD CLIP Encode",
            category=wires.CATEGORY,
            description="Tells the model what is in the picture. The whole picture is squashed to CLIP's square, not "
            "cropped, as the model was trained.",
            **found_by("clip vision"),
            inputs=[
                wires.Clip.Input("clip", tooltip="The CLIP image encoder of Load SVD Checkpoint."),
                io.Image.Input("image", tooltip="The fitted picture; the same as for SVD VAE Encode."),
            ],
            outputs=[
                wires.Embedding.Output(display_name="embedding", tooltip="What CLIP saw, for SVD Conditioning."),
            ],
        )

    @classmethod
    def execute(cls, clip: "Network[CLIPVisionModelWithProjection]", image: Tensor) -> io.NodeOutput:
        from ..svd.conditioning import encode_clip

        picture = wires.from_image(image)
        needed = memory.embedding(clip.module.config, clip.module.dtype.itemsize)
        with clip.at_work(needed, partial(shortage.embedding, clip.low_moves_weights)) as (encoder, device):
            encoded = [encode_clip(encoder, one.to(device)) for one in picture.split(1)]
        return io.NodeOutput(torch.cat(encoded).to(result_device()))


class EncodeLatent(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoEncodeLatent",
            display_name="SVD VAE Encode",
            category=wires.CATEGORY,
            description="Turns the picture into the latent that every frame of the video starts from.",
            **found_by("image to latent", "augmentation_level"),
            inputs=[
                wires.Vae.Input("vae", tooltip="The VAE of Load SVD Checkpoint."),
                io.Image.Input(
                    "image",
                    tooltip="The fitted picture; its size is the size of the video. The same as for SVD CLIP Encode.",
                ),
                io.Float.Input(
                    "noise_aug_strength",
                    default=0.02,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    **ADVANCED,
                    tooltip="Noise added to the picture first. A little lets things move more freely; much of it makes "
                    "the video differ from the picture. The model is told the strength.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**64 - 1,
                    control_after_generate=True,
                    tooltip="Seed of that noise. Picture number i of a batch, counted from 0, uses seed + i.",
                ),
            ],
            outputs=[
                wires.ImageLatent.Output(
                    display_name="image_latent",
                    tooltip="The picture's latent and its noise strength, for SVD Conditioning.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, noise_aug_strength: float | None = None) -> check.Verdict:
        return check.first_problem(check.between("noise_aug_strength", noise_aug_strength, 0, 10))

    @classmethod
    def execute(cls, vae: "Network[VAE]", image: Tensor, noise_aug_strength: float, seed: int) -> io.NodeOutput:
        from ..svd.conditioning import ImageLatent, encode_latent
        from ..svd.noise import clip_generators, draw_noise

        check.require(cls.validate_inputs, noise_aug_strength=noise_aug_strength)
        picture = wires.from_image(image)
        pictures, channels, height, width = picture.shape
        noise = draw_noise(clip_generators(seed, pictures), 1, channels, height, width)
        size = vae.module.config, height, width
        remedy = partial(shortage.encoding, *size, vae.low_moves_weights)
        with vae.at_work(memory.encoding(*size), remedy) as (autoencoder, device):
            encoded = [
                encode_latent(autoencoder, one.to(device), noise_aug_strength, its_noise)
                for one, its_noise in zip(picture.split(1), noise.split(1), strict=True)
            ]
        latents = torch.cat([each.latent for each in encoded]).to(result_device())
        return io.NodeOutput(ImageLatent(latents, noise_aug_strength))
