"""How many bytes a network's activations need at its peak, and which of the memory modes that suggests.

Each estimate is a number of tensors of the widest kind. Weights are the host's own business. The numbers for sampling
and decoding were measured at full size in fp16 (docs/speed.md), and rounded up.
"""

from typing import Any

from ..svd.config import UNetConfig, VAEConfig
from ..svd.layout import Checkpoint
from ..svd.memory import LITTLE_ROOM

MODES = ["auto", "fast", "balanced", "low"]


def sampling(config: UNetConfig, images: int, height: int, width: int, itemsize: int) -> int:
    """`images`: frames of all clips, twice with guidance in one batch; height and width of the latent."""
    return images * height * width * config.block_out_channels[0] * 13 * itemsize


def encoding(config: VAEConfig, height: int, width: int) -> int:
    """Of one picture; height and width in pixels. Six tensors of the finest level in fp32; not measured."""
    return height * width * config.block_out_channels[0] * 6 * 4


def decoding(config: VAEConfig, images: int, height: int, width: int, itemsize: int) -> int:
    """The least that one chunk takes, in pieces; `images`: its frames; height and width in pixels.

    The clip's map of the finest level, half as much again of the level before it, and one piece.
    """
    return images * height * width * config.block_out_channels[0] * itemsize * 3 // 2 + LITTLE_ROOM


def embedding(config: Any, itemsize: int) -> int:
    """Of one picture; config: transformers' CLIPVisionConfig. One layer's tensors, twice; not measured."""
    tokens = (config.image_size // config.patch_size) ** 2 + 1
    return tokens * (config.intermediate_size + 6 * config.hidden_size) * 2 * itemsize


def choose(mode: str, checkpoint: Checkpoint, itemsize: int, free: int | None) -> str:
    """What `auto` stands for where `free` bytes are left: what fits a clip of 25 frames at 1024 x 576.

    itemsize: of all weights; that the VAE's encoder is in fp32 is within the step left over. None for `free`, a device
    with no memory of its own, is fast.
    """
    if mode != "auto":
        return mode
    step = sampling(checkpoint.unet.config, 25, 72, 128, itemsize)
    if free is None or free >= itemsize * sum(part.parameters for part in checkpoint.parts.values()) + 2 * step:
        return "fast"
    return "balanced" if free >= itemsize * checkpoint.unet.parameters + step else "low"
