"""How many bytes a network's activations need at its peak, and which of the memory modes that suggests.

Each estimate is a number of tensors of the widest kind. Weights are the host's own business. The numbers for sampling
and decoding were measured at full size in fp16 (docs/speed.md), and rounded up.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..svd.config import UNetConfig, VAEConfig
from ..svd.memory import LITTLE_ROOM

MODES = ["auto", "fast", "balanced", "low"]


def sampling(config: UNetConfig, images: int, height: int, width: int, itemsize: int) -> int:
    """`images`: frames of all clips, twice with guidance in one batch; height and width of the latent."""
    return images * height * width * config.block_out_channels[0] * 13 * itemsize


def encoding(config: VAEConfig, pictures: int, height: int, width: int) -> int:
    """Height and width in pixels. Six tensors of the finest level in fp32; not measured."""
    return pictures * height * width * config.block_out_channels[0] * 6 * 4


def decoding(config: VAEConfig, images: int, height: int, width: int, itemsize: int) -> int:
    """The least that one chunk takes, in pieces; `images`: its frames; height and width in pixels.

    The clip's map of the finest level, half as much again of the level before it, and one piece.
    """
    return images * height * width * config.block_out_channels[0] * itemsize * 3 // 2 + LITTLE_ROOM


def embedding(config: Any, pictures: int, itemsize: int) -> int:
    """config: transformers' CLIPVisionConfig. One layer's tensors, twice; not measured."""
    tokens = (config.image_size // config.patch_size) ** 2 + 1
    return pictures * tokens * (config.intermediate_size + 6 * config.hidden_size) * 2 * itemsize


def choose(mode: str, unet: Any, others: Sequence[nn.Module], free: int | None) -> str:
    """What `auto` stands for where `free` bytes are left: what fits a clip of 25 frames at 1024 x 576.

    None, a device with no memory of its own, is fast.
    """
    if mode != "auto":
        return mode
    itemsize = unet.dtype.itemsize
    step = sampling(unet.config, 25, 72, 128, itemsize)
    if free is None or free >= weights(unet, *others) + 2 * step:
        return "fast"
    return "balanced" if free >= weights(unet) + step else "low"


def weights(*modules: nn.Module) -> int:
    """Bytes of the modules' weights."""
    return sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
