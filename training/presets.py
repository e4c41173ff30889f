"""The miniature's sizes, and its networks before training."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ..svd.clip import build_clip
from ..svd.config import CLIPConfig, UNetConfig, VAEConfig
from ..svd.edm import LATENT_SCALE
from ..svd.unet import UNet
from ..svd.vae import VAE


@dataclass(frozen=True)
class Preset:
    unet: UNetConfig
    vae: VAEConfig
    clip: CLIPConfig


def unet_config(channels: tuple[int, ...], context: int, head: int, scalar: int) -> UNetConfig:
    """One layer and one transformer a block at every level."""
    n = len(channels)
    return UNetConfig(
        block_out_channels=channels,
        layers_per_block=(1,) * n,
        down_block_types=("CrossAttnDownBlockSpatioTemporal",) * n,
        up_block_types=("CrossAttnUpBlockSpatioTemporal",) * n,
        num_attention_heads=tuple(max(c // head, 1) for c in channels),
        transformer_layers_per_block=(1,) * n,
        cross_attention_dim=(context,) * n,
        addition_time_embed_dim=(scalar,) * 3,
        projection_class_embeddings_input_dim=3 * scalar,
        num_frames=14,
    )


NANO = Preset(
    unet_config((96, 160, 160), context=64, head=32, scalar=64),
    VAEConfig(block_out_channels=(32, 64, 160, 160), layers_per_block=1, decoder_mid_layers=2),
    CLIPConfig(
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        patch_size=32,
        projection_dim=64,
    ),
)
TINY = Preset(  # for tests: learns little, quickly
    unet_config((32, 32), context=32, head=32, scalar=32),
    VAEConfig(block_out_channels=(32, 32, 32, 32), layers_per_block=1, decoder_mid_layers=2),
    replace(NANO.clip, hidden_size=32, intermediate_size=64, num_hidden_layers=1, projection_dim=32),
)
PRESETS = {"nano": NANO, "tiny": TINY}


def picture_vae(config: VAEConfig) -> VAE:
    """The autoencoder of the first stage: the same without temporal layers."""
    return channels_last(VAE(replace(config, temporal_decoder=False)))


def video_vae(config: VAEConfig, pictures: VAE) -> VAE:
    """The second stage's: the first's weights, and temporal layers that do nothing yet or are a video decoder's own."""
    vae = VAE(config)
    vae.load_state_dict(pictures.state_dict(), strict=False)
    if pictures.config.temporal_decoder:
        return channels_last(vae)
    _temporal_layers_do_nothing(vae.decoder)
    mix = vae.decoder.conv_out.time_mix_conv
    with torch.no_grad():
        mix.weight.zero_()
        mix.weight[:, :, 1, 0] = torch.eye(len(mix.weight))
        mix.bias.zero_()
    return channels_last(vae)


def untrained_unet(config: UNetConfig) -> UNet:
    """Every residual branch starts at zero, so that the network starts as its skips; so does its output."""
    unet = UNet(config)
    for name, p in unet.named_parameters():
        if name.startswith("out.2.") or ".out_layers.3." in name or ".proj_out." in name:
            nn.init.zeros_(p)
    with torch.no_grad():  # the picture's latent comes unscaled, five times larger than the rest
        first: Any = unet.input_blocks[0]
        first[0].weight[:, 4:] *= LATENT_SCALE
    return channels_last(unet)


def untrained_clip(config: CLIPConfig) -> Any:
    """The condition encoder, with transformers' own initialisation."""
    clip = build_clip(config).to_empty(device="cpu")
    clip.vision_model.embeddings.position_ids = torch.arange(clip.vision_model.embeddings.num_positions)[None]
    clip.apply(clip._init_weights)
    for p in clip.parameters():
        if p.ndim > 1:
            nn.init.normal_(p, std=0.5 / p[0].numel() ** 0.5)
    return clip


def channels_last(module: Any) -> Any:
    return module.to(memory_format=torch.channels_last)


def _temporal_layers_do_nothing(module: nn.Module) -> None:
    for name, p in module.named_parameters():
        if ".time_stack.out_layers.3." in name:
            nn.init.zeros_(p)
