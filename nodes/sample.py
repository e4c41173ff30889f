"""SVD Sampler (Euler)."""

from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from ..svd.edm import karras_sigmas
from ..svd.errors import InputError
from ..svd.guidance import SHAPES, guidance_scale
from . import check, memory, shortage, wires
from .host import Network, io, progress
from .listing import ADVANCED, found_by
from .needs import sampling_work
from .preview import own_colours

if TYPE_CHECKING:
    from ..svd.conditioning import Conditioning
    from ..svd.unet import UNet


class Sample(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoSample",
            display_name="SVD Sampler (Euler)",
            category=wires.CATEGORY,
            description="Makes the video, as a latent: from noise to frames in Euler steps. Several pictures make "
            "several clips, each with its own noise.",
            **found_by(
                "stable video diffusion", "image to video", "img2vid", "i2v", "animate picture", "video", "motion"
            ),
            inputs=_inputs(),
            outputs=[
                io.Latent.Output(
                    display_name="latent", tooltip="The video as a latent, one entry per frame, for SVD VAE Decode."
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, min_guidance: float | None = None, max_guidance: float | None = None, guidance: str | None = None
    ) -> check.Verdict:
        return check.first_problem(
            check.choice("guidance", guidance, list(SHAPES)),
            check.between("min_guidance", min_guidance, 0, 100),
            check.between("max_guidance", max_guidance, 0, 100),
        )

    @classmethod
    def execute(
        cls,
        model: "Network[UNet]",
        conditioning: "Conditioning",
        frames: int,
        steps: int,
        min_guidance: float,
        max_guidance: float,
        guidance: str,
        seed: int,
        sigmas: Tensor | None = None,
        latent: wires.Latent | None = None,
        churn: float = 0.0,
    ) -> io.NodeOutput:
        from ..svd.noise import clip_generators, draw_noise
        from ..svd.sampler import Churn, sample, start

        told = {"min_guidance": min_guidance, "max_guidance": max_guidance, "guidance": guidance}
        check.require(cls.validate_inputs, **told)
        if problem := check.between("churn", churn, 0, 1000):
            raise InputError(problem)
        _require_fit(model.module, conditioning)
        sigmas = karras_sigmas(steps) if sigmas is None else _checked(sigmas)
        clips, _, height, width = conditioning.concat.shape
        generators = clip_generators(seed, clips)
        noise = draw_noise(generators, frames, 4, height, width)
        x = start(noise, sigmas[0], None if latent is None else _start_latent(latent, frames, noise))
        scale = guidance_scale(guidance, min_guidance, max_guidance, frames)
        unet = model.module
        itemsize, halves = unet.dtype.itemsize, model.memory != "fast"
        passes = 1 if (scale == 1).all() else 2
        together = 1 if halves else passes
        needed = memory.sampling(unet.config, together * len(x), height, width, itemsize)
        steps = len(sigmas) - 1
        work = sampling_work(unet.config, unet.dtype, passes * len(x), height, width, steps)
        low = together > 1 or model.low_moves_weights
        remedy = partial(shortage.sampling, unet.config, clips, frames, height, width, itemsize, together, low)
        with model.at_work(needed, remedy) as (unet, device):
            latents = sample(
                unet,
                conditioning,
                x.to(device),
                sigmas,
                scale,
                churn=Churn(churn),
                generators=generators,
                callback=progress(steps, frames, work, own_colours(unet.config)),
                halves=halves,
            )
        return io.NodeOutput(wires.to_latent(latents, frames))


def _inputs() -> list[io.Input]:
    return [
        wires.Model.Input("model", tooltip="The video UNet of Load SVD Checkpoint."),
        wires.Conditioning.Input("conditioning", tooltip="What the model is told, from SVD Conditioning."),
        io.Int.Input(
            "frames",
            default=25,
            min=1,
            max=1024,
            tooltip="Length of the video in frames. svd was trained on 14, svd_xt on 25; other numbers work less well.",
        ),
        io.Int.Input(
            "steps",
            default=25,
            min=1,
            max=1000,
            tooltip="How many steps: more are slower and a little finer. Not used when sigmas are connected.",
        ),
        io.Float.Input(
            "min_guidance",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.1,
            tooltip="How strongly the first frame keeps to the picture. 1 means no guidance.",
        ),
        io.Float.Input(
            "max_guidance",
            default=3.0,
            min=0.0,
            max=100.0,
            step=0.1,
            tooltip="How strongly the last frame keeps to the picture. Too much burns colours.",
        ),
        io.Combo.Input(
            "guidance",
            options=list(SHAPES),
            default="linear",
            tooltip="How guidance runs over the video. linear: from min to max. triangle: up to max in the middle and "
            "back. constant: max everywhere.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**64 - 1,
            control_after_generate=True,
            tooltip="Seed of the noise the video grows from. Picture i of a batch, counted from 0, uses seed + i.",
        ),
        io.Sigmas.Input("sigmas", optional=True, tooltip="Noise levels from SVD Sigmas, in place of steps."),
        io.Latent.Input(
            "latent",
            optional=True,
            tooltip="A video to start from, of the same size and number of frames. Noise of the first sigma is put on "
            "it, so connect SVD Sigmas with a lower sigma_max too, or nothing of it is left.",
        ),
        io.Float.Input(
            "churn",
            default=0.0,
            min=0.0,
            max=1000.0,
            step=0.1,
            optional=True,
            **ADVANCED,
            tooltip="Fresh noise added along the way, S_churn of the EDM paper. 0 adds none.",
        ),
    ]


def _require_fit(unet: "UNet", conditioning: "Conditioning") -> None:
    width, expected = conditioning.context.shape[-1], unet.config.cross_attention_dim[0]
    if width != expected:
        raise InputError(
            f"The embedding has {width} channels and the model expects {expected}: "
            "connect model, clip and vae of the same checkpoint."
        )
    cells, least = max(conditioning.concat.shape[-2:]), unet.config.least_cells
    if cells < least:
        raise InputError(
            f"The longer side of the picture is {8 * cells}, too small for this model: set it to {8 * least} or more "
            "in Fit Image for SVD."
        )


def _checked(sigmas: Tensor) -> Tensor:
    """The host's sigmas as fp32, falling, positive but for the last. InputError on others."""
    sigmas = sigmas.float().cpu()
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise InputError("The sigmas hold no step: connect SVD Sigmas with at least 1 step.")
    if not sigmas.isfinite().all() or (sigmas.diff() >= 0).any() or sigmas[-1] < 0:
        raise InputError("The sigmas must fall from step to step, down to 0 or above: connect SVD Sigmas as they are.")
    return sigmas


def _start_latent(latent: wires.Latent, frames: int, noise: Tensor) -> Tensor:
    start, clips = wires.from_latent(latent)
    if start.shape != noise.shape or set(clips) != {frames}:
        height, width = start.shape[-2:]
        held = f"{len(clips)} x {clips[0]}" if len(set(clips)) == 1 else ", ".join(map(str, clips))
        raise InputError(
            f"The latent holds {held} frames of {width} x {height} and the sampler makes "
            f"{len(noise) // frames} x {frames} of {noise.shape[-1]} x {noise.shape[-2]}: "
            "set frames, and the width and height of Fit Image, to match."
        )
    return start.cpu()
