"""SVD Conditioning."""

from typing import TYPE_CHECKING

from torch import Tensor

from . import wires
from .host import io
from .listing import found_by

if TYPE_CHECKING:
    from ..svd.conditioning import ImageLatent


class Condition(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoCondition",
            display_name="SVD Conditioning",
            category=wires.CATEGORY,
            description="Brings together what the model is told: what is in the picture, where, and how it moves.",
            **found_by("motion", "motion bucket", "fps"),
            inputs=[
                wires.Embedding.Input("embedding", tooltip="What CLIP saw, from SVD CLIP Encode."),
                wires.ImageLatent.Input("image_latent", tooltip="The picture's latent, from SVD VAE Encode."),
                io.Float.Input(
                    "fps",
                    default=7.0,
                    min=1.0,
                    max=1024.0,
                    step=1.0,
                    round=0.001,
                    tooltip="Frames per second the video will be shown at; set Create Video to the same number. "
                    "Lower means more motion between frames. The model is told fps - 1, as it was trained.",
                ),
                io.Int.Input(
                    "motion_bucket_id",
                    default=127,
                    min=0,
                    max=1023,
                    tooltip="How much should move: 127 is usual, 1 is nearly still, 255 is a lot.",
                ),
            ],
            outputs=[
                wires.Conditioning.Output(
                    display_name="conditioning", tooltip="All that the SVD Sampler needs to know about the picture."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, embedding: Tensor, image_latent: "ImageLatent", fps: float, motion_bucket_id: int
    ) -> io.NodeOutput:
        from ..svd.conditioning import condition

        return io.NodeOutput(condition(embedding, image_latent, fps, motion_bucket_id))
