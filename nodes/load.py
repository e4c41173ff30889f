"""Load SVD Checkpoint."""

import logging
from typing import Any

from . import check, host, wires
from .host import io
from .host.folders import fingerprint
from .listing import found_by
from .memory import MODES, choose

log = logging.getLogger("svd_nodes")

PRECISIONS = ["auto", "fp16", "bf16", "fp32"]


class LoadCheckpoint(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="StableVideoLoadCheckpoint",
            display_name="Load SVD Checkpoint",
            category=wires.CATEGORY,
            description="Loads the three networks of a Stable Video Diffusion checkpoint.",
            **found_by("stable video diffusion", "svd_xt", "image to video", "img2vid", "i2v"),
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=host.checkpoint_names(),
                    tooltip="A .safetensors file (svd, svd_xt, svd_xt_1_1, *_image_decoder) in models/checkpoints, "
                    "or a diffusers folder in models/checkpoints or models/diffusers.",
                ),
                io.Combo.Input(
                    "precision",
                    options=PRECISIONS,
                    default="auto",
                    tooltip="The number format the networks run in. auto: fp16 on most cards, fp32 on a CPU. bf16 "
                    "cures black or broken frames; fp32 is the most exact and needs twice the memory. The picture is "
                    "always encoded in fp32.",
                ),
                io.Combo.Input(
                    "memory",
                    options=MODES,
                    default="auto",
                    optional=True,
                    tooltip="How weights and work are placed. auto: looks at the free memory and says in the log what "
                    "it chose. fast: everything stays on the card. balanced: a little slower, about half the memory. "
                    "low: the least memory, streams weights layer by layer. The pixels are the same in all.",
                ),
            ],
            outputs=[
                wires.Model.Output(display_name="model", tooltip="The video UNet, for the SVD Sampler."),
                wires.Clip.Output(display_name="clip", tooltip="The CLIP image encoder, for SVD CLIP Encode."),
                wires.Vae.Output(display_name="vae", tooltip="The VAE, for SVD VAE Encode and SVD VAE Decode."),
            ],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None = None) -> check.Verdict:
        if wrong := check.text("checkpoint", checkpoint):
            return wrong
        return check.first_problem(check.refusal(host.checkpoint_path, checkpoint))

    @classmethod
    def fingerprint_inputs(
        cls, checkpoint: str | None = None, precision: str | None = None, memory: str | None = None
    ) -> Any:
        """Differs when a file was replaced under the same name, so that it is loaded anew."""
        if checkpoint is None:
            return None
        return fingerprint(host.checkpoint_path(checkpoint))

    @classmethod
    def execute(cls, checkpoint: str, precision: str, memory: str = "auto") -> io.NodeOutput:
        from ..svd.checkpoint import load, open_checkpoint
        from ..svd.kernels import begin, build

        check.require(cls.validate_inputs, checkpoint=checkpoint)
        check.require_choice("precision", precision, PRECISIONS)
        check.require_choice("memory", memory, MODES)
        path = host.checkpoint_path(checkpoint)
        opened = open_checkpoint(path)
        opened.require_svd()
        dtype = host.precision(precision)
        begin(host.work_device(), dtype)
        models = load(path, dtype=dtype, device=host.storage_device(), ops=host.ops, on_tensor=host.heed_cancel)
        build(host.work_device(), dtype, host.progress(1))
        chosen = choose(memory, opened, dtype.itemsize, host.free_memory())
        if memory == "auto":
            log.info("Memory: %s.", chosen)
        return io.NodeOutput(
            host.Network(models.unet, chosen),
            host.Network(models.clip, chosen, streams=False),
            host.Network(models.vae, chosen),
        )
