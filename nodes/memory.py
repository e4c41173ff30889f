"""How many bytes a network's activations need at its peak: what the host's memory manager is told before work.

Each estimate counts the widest tensors that are alive at once; weights are the manager's own business.
"""

from typing import Any

from ..svd.config import UNetConfig, VAEConfig


def sampling(config: UNetConfig, images: int, height: int, width: int, itemsize: int) -> int:
    """`images`: frames of all clips, twice with guidance; height and width of the latent.

    The peak is a feed-forward of the finest level: its input, 8 c of GEGLU and 4 c of its product, and the skips.
    """
    return images * height * width * config.block_out_channels[0] * 18 * itemsize


def encoding(config: VAEConfig, pictures: int, height: int, width: int) -> int:
    """Pixels of the picture. fp32, about six tensors of the finest level."""
    return pictures * height * width * config.block_out_channels[0] * 6 * 4


def decoding(config: VAEConfig, images: int, height: int, width: int, itemsize: int) -> int:
    """`images`: frames of one chunk; height and width in pixels.

    The peak is the finest level's first block, whose input still has the width of the level below.
    """
    channels = config.block_out_channels[:2][-1]
    return images * height * width * channels * 5 * itemsize


def embedding(config: Any, pictures: int, itemsize: int) -> int:
    """config: transformers' CLIPVisionConfig. Tokens times the width of one layer's tensors, twice."""
    tokens = (config.image_size // config.patch_size) ** 2 + 1
    return pictures * tokens * (config.intermediate_size + 6 * config.hidden_size) * 2 * itemsize
