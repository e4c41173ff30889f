"""Makes checkpoints with seeded random weights of any size: for tests, for `make demo`, for benchmarks.

A random model turns any picture into noise. It proves that the machinery runs, and costs what a trained one costs.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..svd.checkpoint import Models, save
from ..svd.clip import build_clip
from ..svd.config import CLIPConfig, UNetConfig, VAEConfig
from ..svd.errors import InputError
from ..svd.layout import family
from ..svd.unet import UNet
from ..svd.vae import VAE

NOTE = "Random weights, trained on nothing: the clips are noise. For trying the nodes and for tests."
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True)
class Preset:
    """The three configs of one model."""

    unet: UNetConfig
    vae: VAEConfig
    clip: CLIPConfig
    frames: int | None = None


TINY_UNET = UNetConfig(
    block_out_channels=(32, 64),
    layers_per_block=(1, 1),
    down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
    num_attention_heads=(2, 4),
    transformer_layers_per_block=(1, 1),
    cross_attention_dim=(32, 32),
    addition_time_embed_dim=(32, 32, 32),
    projection_class_embeddings_input_dim=96,
)
TINY_VAE = VAEConfig(block_out_channels=(32, 32, 32, 32), layers_per_block=1, decoder_mid_layers=1)
TINY_CLIP = CLIPConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    image_size=32,
    patch_size=16,
    projection_dim=32,
)
DEMO_UNET = UNetConfig(  # no attention at the finest level, where it would cost as much as all the rest
    block_out_channels=(64, 64, 128, 128),
    layers_per_block=(1, 1, 1, 1),
    down_block_types=tuple(f"{'CrossAttn' * a}DownBlockSpatioTemporal" for a in (False, True, True, False)),
    up_block_types=tuple(f"{'CrossAttn' * a}UpBlockSpatioTemporal" for a in (False, True, True, False)),
    num_attention_heads=(1, 1, 2, 2),
    cross_attention_dim=(128, 128, 128, 128),
    addition_time_embed_dim=(64, 64, 64),
    projection_class_embeddings_input_dim=192,
    num_frames=14,
)
DEMO_VAE = VAEConfig(block_out_channels=(32, 32, 32, 64), layers_per_block=1, decoder_mid_layers=1)
DEMO_CLIP = CLIPConfig(
    hidden_size=128,
    intermediate_size=256,
    num_hidden_layers=2,
    num_attention_heads=2,
    patch_size=32,
    projection_dim=128,
)
IMAGE_DECODER = VAEConfig(temporal_decoder=False, post_quant_conv=True)
SV3D_VAE = VAEConfig(temporal_decoder=False)
PRESETS: Mapping[str, Preset] = {
    "tiny": Preset(TINY_UNET, TINY_VAE, TINY_CLIP, 4),
    "demo": Preset(DEMO_UNET, DEMO_VAE, DEMO_CLIP, 14),
    "full": Preset(UNetConfig(), VAEConfig(), CLIPConfig(), 25),
    "full_image_decoder": Preset(UNetConfig(), IMAGE_DECODER, CLIPConfig(), 25),
    "full_sv3d_u": Preset(
        UNetConfig(projection_class_embeddings_input_dim=256, addition_time_embed_dim=(256,)),
        SV3D_VAE,
        CLIPConfig(),
        21,
    ),
    "full_sv3d_p": Preset(
        UNetConfig(projection_class_embeddings_input_dim=1280, addition_time_embed_dim=(256, 512, 512)),
        SV3D_VAE,
        CLIPConfig(),
        21,
    ),
}


def random_models(
    unet_config: UNetConfig,
    vae_config: VAEConfig,
    clip_config: CLIPConfig,
    seed: int = 0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    ops: Any = nn,
) -> Models:
    """The three networks with random weights, as `load` would give them (the VAE's encoder in fp32).

    The same seed gives the same weights on the same kind of device; every dtype rounds the same numbers.
    """
    with torch.device("meta"):
        unet, vae = UNet(unet_config, ops), VAE(vae_config, ops)
    clip = build_clip(clip_config)
    generator = torch.Generator(device).manual_seed(seed)
    for module in (unet, vae, clip):
        fill(module, generator, dtype)
    for half in (vae.encoder, vae.quant_conv):
        half.float()
    metadata = {"modelspec.title": "Random weights", "modelspec.description": NOTE, "svd_nodes.seed": str(seed)}
    return Models(unet, vae, clip, family(unet_config) or "svd", unet_config.num_frames, None, metadata)


def preset_models(
    preset: str, seed: int = 0, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, ops: Any = nn
) -> Models:
    """`random_models` of a preset, with its frame count."""
    chosen = PRESETS[preset]
    models = random_models(chosen.unet, chosen.vae, chosen.clip, seed, device, dtype, ops)
    models.frames = chosen.frames
    return models


def fill(module: nn.Module, generator: torch.Generator, dtype: torch.dtype) -> None:
    """Gives every weight of a module on the meta device a random value."""
    state = {
        name: random_weight(name, tensor.shape, generator).to(dtype) for name, tensor in module.state_dict().items()
    }
    for name, tensor in state.items():
        if tensor.ndim == 4:
            state[name] = tensor.contiguous(memory_format=torch.channels_last)
    module.load_state_dict(state, strict=True, assign=True)
    module.requires_grad_(False).eval().to(generator.device)


def random_weight(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Weights of variance 1/fan_in, norms near 1, small biases: activations neither die nor grow without bound."""
    noise = torch.randn(shape, generator=generator, device=generator.device)
    if name.endswith("mix_factor"):
        return noise
    if name.endswith("bias"):
        return 0.05 * noise
    if len(shape) == 1 and name.endswith("weight"):
        return 1 + 0.1 * noise
    fan_in = shape[1:].numel() if len(shape) > 1 else shape[0]
    return noise / max(fan_in, 1) ** 0.5


def main() -> int:
    parser = argparse.ArgumentParser(prog="random_checkpoint", description=__doc__)
    parser.add_argument("out", type=Path, help="a .safetensors file, or with --layout diffusers a folder")
    parser.add_argument("--preset", choices=PRESETS, default="demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=DTYPES, default="fp16")
    parser.add_argument("--layout", choices=("single", "diffusers"), default="single")
    parser.add_argument("--device", default="cpu", help="where the random numbers are drawn")
    parser.add_argument("--overwrite", action="store_true")
    asked = parser.parse_args()
    models = preset_models(asked.preset, asked.seed, asked.device)
    try:
        save(models, asked.out, asked.layout, DTYPES[asked.precision], overwrite=asked.overwrite)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{asked.out}: random weights, seed {asked.seed}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
