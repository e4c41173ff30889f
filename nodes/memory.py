"""How many bytes a network's activations need at its peak: what the host's memory manager is told before work.

Each estimate is a number of tensors of the widest kind. Weights are the manager's own business. The numbers for
sampling and decoding were measured at full size in fp16 (bench/results/2026-11-22-h200-precision.md), and rounded up.
"""

from typing import Any

from ..svd.config import UNetConfig, VAEConfig


def sampling(config: UNetConfig, images: int, height: int, width: int, itemsize: int) -> int:
    """`images`: frames of all clips, twice with guidance; height and width of the latent.

    27 tensors of the finest level: the GEGLU of its feed-forward alone is 12 of them.
    """
    return images * height * width * config.block_out_channels[0] * 27 * itemsize


def encoding(config: VAEConfig, pictures: int, height: int, width: int) -> int:
    """Height and width in pixels. Six tensors of the finest level in fp32; not measured."""
    return pictures * height * width * config.block_out_channels[0] * 6 * 4


def decoding(config: VAEConfig, images: int, height: int, width: int, itemsize: int) -> int:
    """`images`: frames of one chunk; height and width in pixels.

    Five tensors of the finest level's first input, which still has the width of the level below.
    """
    channels = config.block_out_channels[:2][-1]
    return images * height * width * channels * 5 * itemsize


def embedding(config: Any, pictures: int, itemsize: int) -> int:
    """config: transformers' CLIPVisionConfig. One layer's tensors, twice; not measured."""
    tokens = (config.image_size // config.patch_size) ** 2 + 1
    return pictures * tokens * (config.intermediate_size + 6 * config.hidden_size) * 2 * itemsize
