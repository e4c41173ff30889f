"""From trained states to the file that the project ships, and the pictures of the losses."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..svd.checkpoint import Models, save
from ..svd.config import VAEConfig
from ..svd.unet import UNet
from ..svd.vae import VAE
from .loop import Limit, Run
from .presets import Preset, channels_last, untrained_clip, untrained_unet

RECOMMENDED = {
    "width": 256,
    "height": 256,
    "frames": 14,
    "fps": 7,
    "motion_bucket_id": 70,
    "steps": 12,
    "schedule": "karras",
    "min_guidance": 1.0,
    "max_guidance": 2.0,
}
METADATA = {
    "svd_nodes.recommended": json.dumps(RECOMMENDED),
    "modelspec.title": "svd-nano",
    "modelspec.license": "MIT",
    "modelspec.description": (
        "A miniature of Stable Video Diffusion, trained from nothing on procedural pictures under a virtual camera. "
        "14 frames at 256x256; the picture pans, zooms or turns, motion_bucket_id says how fast, the seed which way."
    ),
}
STAGES = {
    "vae-pictures": "Autoencoder on pictures",
    "vae-clips": "Autoencoder's decoder on clips",
    "unet": "UNet: EDM loss",
}


def write_vae(vae: VAE, state: Path) -> None:
    """The autoencoder as it is shipped, in fp16, for the UNet's stage, which may wait for the file."""
    part = state / "vae.safetensors.part"
    save_file({name: p.half().cpu().contiguous() for name, p in vae.state_dict().items()}, part)
    part.replace(state / "vae.safetensors")


def read_vae(config: VAEConfig, state: Path) -> VAE:
    """`write_vae`'s autoencoder, in fp32 and frozen."""
    vae = VAE(config)
    vae.load_state_dict(load_file(state / "vae.safetensors"))
    return channels_last(vae.requires_grad_(False).eval())


def read_unet(preset: Preset, state: Path) -> tuple[UNet, Any]:
    """UNet and condition encoder of a saved run: the averaged weights."""
    unet, clip = untrained_unet(preset.unet), untrained_clip(preset.clip)
    run = Run([unet, clip], 0.0, Limit(1))
    run.resume(state)
    run.use_average()
    return unet, clip.eval()


@torch.no_grad()
def averaged(preset: Preset, run: Run) -> tuple[UNet, Any]:
    """UNet and condition encoder of a run, which goes on: the averaged weights, in fp32 on the processor."""
    unet, clip = untrained_unet(preset.unet), untrained_clip(preset.clip)
    for p, value in zip([*unet.parameters(), *clip.parameters()], run.average.values, strict=True):
        p.copy_(value)
    return unet, clip.eval()


def ship(unet: UNet, vae: VAE, clip: Any, path: Path) -> None:
    """One fp16 file in the single-file layout, with configs, licence and a sentence of what it is."""
    models = Models(unet, vae, clip, family="svd", frames=14, metadata=dict(METADATA))
    save(models, path, layout="single", dtype=torch.float16, overwrite=True)


def draw_curves(state: Path, path: Path) -> None:
    """The recorded losses of the stages that a folder holds, side by side, as a picture. Needs matplotlib."""
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

    trained = {stage: title for stage, title in STAGES.items() if (state / f"{stage}.json").is_file()}
    figure, axes = pyplot.subplots(
        1, len(trained), figsize=(13 / 3 * len(trained), 3.5), constrained_layout=True, squeeze=False
    )
    for axis, (stage, title) in zip(axes[0], trained.items(), strict=True):
        told = json.loads((state / f"{stage}.json").read_text())
        steps, losses = zip(*told["losses"], strict=True)
        axis.plot(steps, losses, linewidth=0.8)
        axis.set(title=f"{title}, {told['seconds']:.0f} s", xlabel="step", yscale="log")
        axis.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=80)
