"""diffusers' networks as the independent implementation to compare with, holding the same random weights."""

import torch
from torch import Tensor, nn

from svd_nodes.svd.config import CLIPConfig, UNetConfig, VAEConfig
from svd_nodes.svd.keymap import Naming, unet_table, vae_table
from svd_nodes.svd.unet import UNet
from svd_nodes.svd.vae import VAE

CROSS, PLAIN = "CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"
CROSS_UP, PLAIN_UP = "CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal"


def unet_config(
    channels: tuple[int, ...] = (32, 64), attention: tuple[bool, ...] | None = None, **changes
) -> UNetConfig:
    """A tiny UNet; attention at every level but the coarsest unless told."""
    attention = attention or (*[True] * (len(channels) - 1), False)
    down = [CROSS if a else PLAIN for a in attention]
    small = {
        "block_out_channels": list(channels),
        "down_block_types": down,
        "up_block_types": [name.replace("Down", "Up") for name in reversed(down)],
        "layers_per_block": 1,
        "num_attention_heads": 2,
        "cross_attention_dim": 32,
        "addition_time_embed_dim": 32,
        "projection_class_embeddings_input_dim": 96,
        "num_frames": 4,
        "sample_size": 32,
    }
    return UNetConfig.from_json(small | changes)


UNET_CONFIGS = {
    "diffusers' test model": unet_config(layers_per_block=2, num_attention_heads=8),
    "four levels": unet_config((32, 64, 96, 96)),
    "three levels, attention everywhere": unet_config((32, 64, 64), (True, True, True)),
    "attention at the coarsest level only": unet_config((32, 32), (False, True)),
    "other levels on the way up": unet_config((32, 64), (True, False), up_block_types=[CROSS_UP, PLAIN_UP]),
    "two transformer layers": unet_config(transformer_layers_per_block=2),
    "different layers, heads, contexts per level": unet_config(
        (32, 64, 64), layers_per_block=(1, 2, 1), num_attention_heads=(1, 2, 4), transformer_layers_per_block=(1, 2, 1)
    ),
}

VAE_CONFIGS = {
    "diffusers' test model": VAEConfig(block_out_channels=(32, 64), layers_per_block=1, decoder_mid_layers=1),
    "two layers": VAEConfig(block_out_channels=(32, 64), layers_per_block=2),
    "four levels": VAEConfig(block_out_channels=(32, 32, 64, 64), layers_per_block=2),
    "three layers": VAEConfig(block_out_channels=(32, 64), layers_per_block=3, decoder_mid_layers=3),
}

CLIP_CONFIG = CLIPConfig(
    hidden_size=32,
    intermediate_size=37,
    num_hidden_layers=3,
    num_attention_heads=4,
    image_size=224,
    patch_size=56,
    projection_dim=32,
)


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights of every kind away from their defaults, so that no wrong wiring can hide behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("mix_factor"):
            parameter.data = noise
        elif parameter.ndim == 1:
            parameter.data = 0.2 * noise + ("norm" in name and name.endswith("weight"))
        else:
            parameter.data = noise / parameter[0].numel() ** 0.5
    return module.eval().requires_grad_(False)


def diffusers_unet(config: UNetConfig, seed: int = 0, original_epsilon: bool = True) -> nn.Module:
    """diffusers' UNet, its residual blocks' norms set to the original's epsilon (it uses 1e-6 in most of them)."""
    from diffusers import UNetSpatioTemporalConditionModel

    unet = randomise(UNetSpatioTemporalConditionModel(**config.to_json()), seed)
    for name, module in unet.named_modules():
        if original_epsilon and isinstance(module, nn.GroupNorm) and "res_block" in name:
            module.eps = 1e-5
    return unet


def diffusers_vae(config: VAEConfig, seed: int = 0) -> nn.Module:
    from diffusers import AutoencoderKLTemporalDecoder

    return randomise(
        AutoencoderKLTemporalDecoder(
            block_out_channels=config.block_out_channels,
            layers_per_block=config.layers_per_block,
            down_block_types=("DownEncoderBlock2D",) * len(config.block_out_channels),
        ),
        seed,
    )


def clip(config: CLIPConfig = CLIP_CONFIG, seed: int = 0) -> nn.Module:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return randomise(CLIPVisionModelWithProjection(CLIPVisionConfig(**config.to_json())), seed)


def our_unet(config: UNetConfig, theirs: nn.Module) -> UNet:
    return _with_weights_of(UNet(config), theirs, unet_table(config))


def our_vae(config: VAEConfig, theirs: nn.Module) -> VAE:
    return _with_weights_of(VAE(config), theirs, vae_table(config))


def _with_weights_of(ours: nn.Module, theirs: nn.Module, table: dict[str, str]) -> nn.Module:
    naming, weights = Naming("diffusers", table=table), theirs.state_dict()
    sources = {name: naming.source(name, tuple(tensor.shape)).key for name, tensor in ours.state_dict().items()}
    assert set(sources.values()) == set(weights), "the table is not a bijection"
    ours.load_state_dict({name: weights[key].reshape(ours.state_dict()[name].shape) for name, key in sources.items()})
    return ours.eval().requires_grad_(False)


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over the largest magnitude of the reference."""
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())
