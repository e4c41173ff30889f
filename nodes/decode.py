"""SVD VAE Decode."""

from functools import partial
from typing import TYPE_CHECKING

from . import check, memory, shortage, wires
from .host import Network, io, progress
from .listing import ADVANCED, found_by
from .needs import decoding_work

if TYPE_CHECKING:
    from ..svd.vae import VAE


class Decode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoDecode",
            display_name="SVD VAE Decode",
            category=wires.CATEGORY,
            description="Turns the video's latent into frames with the temporal decoder.",
            **found_by("latent to video", "video", "frames"),
            inputs=[
                wires.Vae.Input("vae", tooltip="The VAE of Load SVD Checkpoint."),
                io.Latent.Input("latent", tooltip="The video's latent, from the SVD Sampler."),
                io.Int.Input(
                    "frames_per_chunk",
                    default=14,
                    min=1,
                    max=1024,
                    **ADVANCED,
                    tooltip="How many frames are decoded together. Lower needs less memory, higher flickers less. It "
                    "is part of the result: the same number gives the same video on every card.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="The frames, clip after clip, for Create Video."),
            ],
        )

    @classmethod
    def validate_inputs(cls, frames_per_chunk: int | None = None) -> check.Verdict:
        return check.first_problem(check.between("frames_per_chunk", frames_per_chunk, 1, 1024))

    @classmethod
    def execute(cls, vae: "Network[VAE]", latent: wires.Latent, frames_per_chunk: int) -> io.NodeOutput:
        from ..svd.decoding import decode
        from ..svd.memory import decoding_room

        check.require(cls.validate_inputs, frames_per_chunk=frames_per_chunk)
        latents, clips = wires.from_latent(latent)
        config, chunk = vae.module.config, min(frames_per_chunk, max(clips))
        height, width = (side * config.downscale for side in latents.shape[-2:])
        size = config, chunk, height, width, vae.module.dtype.itemsize
        remedy = partial(shortage.decoding, *size, vae.memory != "low")
        with vae.at_work(memory.decoding(*size), remedy) as (autoencoder, device):
            report = progress(len(latents), work=decoding_work(config, vae.module.dtype, len(latents), height, width))
            spill = vae.memory == "low"
            room = decoding_room(device, None if vae.memory == "fast" else memory.LITTLE_ROOM, vae.free_memory())
            images = decode(autoencoder, latents.to(device), clips, frames_per_chunk, report, room, spill)
        return io.NodeOutput(wires.to_image(images))
