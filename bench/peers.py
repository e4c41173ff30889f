"""The same work as bench/gpu.py's in others' modules, holding our weights: diffusers', and ComfyUI's own.

ComfyUI's runs eagerly with the attention that it chooses; it is called without its sampler and its memory manager.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..svd import Models
from ..svd.keymap import unet_table, vae_table
from .measure import DEVICE, milliseconds, noise, peak, seconds
from .precision import fill


class Diffusers:
    """diffusers' networks, and its pipeline around them."""

    def __init__(self, models: Models, frames: int, width: int, height: int, steps: int) -> None:
        from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
        from diffusers import StableVideoDiffusionPipeline as Pipeline
        from transformers import CLIPImageProcessor

        config = models.vae.config
        with torch.device("meta"):
            self.unet = UNetSpatioTemporalConditionModel(**models.unet.config.to_json())
            self.vae = AutoencoderKLTemporalDecoder(
                block_out_channels=config.block_out_channels,
                layers_per_block=config.layers_per_block,
                down_block_types=("DownEncoderBlock2D",) * len(config.block_out_channels),
            )
        fill(self.unet, models.unet, unet_table(models.unet.config), models.unet.dtype)
        fill(self.vae, models.vae, vae_table(config), models.unet.dtype)
        scheduler = EulerDiscreteScheduler(
            prediction_type="v_prediction", use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0,
            timestep_type="continuous", timestep_spacing="leading", steps_offset=1,
        )  # fmt: skip
        self.pipe = Pipeline(self.vae, models.clip, self.unet, scheduler, CLIPImageProcessor())
        self.pipe.set_progress_bar_config(disable=True)
        self.frames, self.steps, self.size = frames, steps, (height, width)
        self.given = models.unet.config.cross_attention_dim[0]

    def step(self) -> Tensor:
        height, width = (side // 8 for side in self.size)
        dtype = self.unet.dtype
        x, context = noise(2, self.frames, 8, height, width).to(dtype), noise(2, 1, self.given).to(dtype)
        numbers = torch.tensor([[6, 127, 0.02]] * 2, device=DEVICE, dtype=dtype)
        return self.unet(x, torch.tensor(0.5, device=DEVICE), context, numbers).sample

    def decoding(self) -> Tensor:
        latent = noise(self.frames, 4, *(side // 8 for side in self.size)).to(self.vae.dtype)
        return self.vae.decode(latent, num_frames=self.frames).sample

    def clip(self) -> Any:
        from PIL import Image

        height, width = self.size
        picture = Image.effect_noise((width, height), 80).convert("RGB")
        options = {"num_inference_steps": self.steps, "num_frames": self.frames, "output_type": "np"}
        return self.pipe(picture, height, width, decode_chunk_size=self.frames, **options).frames


class ComfyUI:
    """The networks of a ComfyUI checkout."""

    def __init__(self, models: Models, frames: int, width: int, height: int, checkout: Path) -> None:
        begin_comfyui(checkout)
        import comfy.model_detection
        import comfy.sd

        dtype = models.unet.dtype
        weights, prefix = _as_in_the_file(models.unet), "model.diffusion_model."
        named = {prefix + name: w for name, w in weights.items()}
        config = comfy.model_detection.model_config_from_unet(named, prefix)
        config.set_inference_dtype(dtype, None)
        self.model = config.get_model(named, prefix, device="meta")
        self.unet = self.model.diffusion_model.eval()
        self.unet.load_state_dict(weights, strict=True, assign=True)
        weights = {name: w.to(dtype) for name, w in _as_in_the_file(models.vae).items()}
        self.vae = comfy.sd.VAE(sd=weights, dtype=dtype).first_stage_model.to(DEVICE)
        self.frames, self.size = frames, (height // 8, width // 8)
        self.given = models.unet.config.cross_attention_dim[0]

    def step(self) -> Tensor:
        count, dtype = 2 * self.frames, self.model.get_dtype()
        vector = self.model.encode_adm(fps=7, motion_bucket_id=127, augmentation_level=0.02).to(DEVICE, dtype)
        return self.unet(
            noise(count, 8, *self.size).to(dtype),
            torch.full((count,), 0.5, device=DEVICE),
            context=noise(count, 1, self.given).to(dtype),
            y=vector.expand(count, -1),
            num_video_frames=self.frames,
        )

    def decoding(self) -> Tensor:
        return self.vae.decode(noise(self.frames, 4, *self.size).to(self.model.get_dtype()))


def begin_comfyui(checkout: Path) -> None:
    """Makes a checkout importable. It reads the command line too, so that is hidden from it."""
    if str(checkout) in sys.path:
        return
    sys.path.insert(0, str(checkout))
    given, sys.argv = sys.argv, sys.argv[:1]
    from comfy.cli_args import args

    args.cpu = DEVICE == "cpu"
    sys.argv = given


def _as_in_the_file(module: nn.Module) -> dict[str, Tensor]:
    """Weights in the file's layout, those of convolutions over time with a fifth dimension."""
    temporal = {f"{n}.weight" for n, m in module.named_modules() if getattr(m, "kernel_size", None) == (3, 1)}
    weights = {name: w.contiguous() for name, w in module.state_dict().items()}
    return {name: w[..., None] if name in temporal else w for name, w in weights.items()}


def measure(work: Any, quick: bool = False) -> dict[str, float]:
    """One of the above: the step and the decode, and the whole clip of what has one, unless `quick`."""
    found: dict[str, float] = {}
    with peak() as held:
        found["step"] = milliseconds(work.step)
    found["step peak"] = held[0]
    with peak() as held:
        found["decode"] = milliseconds(work.decoding, 3) / 1000
    found["decode peak"] = held[0]
    if hasattr(work, "clip") and not quick:
        found["whole clip"] = seconds(work.clip)
    return found
