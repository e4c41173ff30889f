"""Fit Image for SVD."""

from torch import Tensor

from ..svd.image import FITS, fit_image
from . import check, wires
from .host import io
from .listing import found_by


class FitImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoFitImage",
            display_name="Fit Image for SVD",
            category=wires.CATEGORY,
            description="Brings pictures to the size of the video, once, for CLIP and the VAE alike.",
            **found_by("resize", "crop", "picture"),
            inputs=[
                io.Image.Input(
                    "image",
                    tooltip="The picture to animate; several make several clips. Transparency is put on white.",
                ),
                io.Int.Input(
                    "width",
                    default=1024,
                    min=8,
                    max=8192,
                    step=8,
                    tooltip="Width of the video in pixels, a multiple of 8. SVD was trained at 1024 x 576.",
                ),
                io.Int.Input(
                    "height",
                    default=576,
                    min=8,
                    max=8192,
                    step=8,
                    tooltip="Height of the video in pixels, a multiple of 8. SVD was trained at 1024 x 576.",
                ),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default="crop",
                    tooltip="What to do with a picture of another shape. crop: fill the frame and cut what hangs over. "
                    "pad: show all of it with black bars. stretch: distort it.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="The picture at the video's size, for SVD CLIP Encode and SVD VAE Encode.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, width: int | None = None, height: int | None = None) -> check.Verdict:
        from ..svd.conditioning import check_size

        return check.first_problem(
            check.between("width", width, 8, 8192),
            check.between("height", height, 8, 8192),
            check.refusal(check_size, width, height),
        )

    @classmethod
    def execute(cls, image: Tensor, width: int, height: int, fit: str) -> io.NodeOutput:
        check.require(cls.validate_inputs, width=width, height=height)
        check.require_choice("fit", fit, FITS)
        return io.NodeOutput(wires.to_image(fit_image(wires.from_image(image), width, height, fit)))
