"""Random draws. Each has a seed and happens on the CPU in fp32, so that a seed means the same clip on every card."""

from collections.abc import Sequence

import torch
from torch import Tensor


def clip_generators(seed: int, clips: int) -> list[torch.Generator]:
    """One CPU generator per clip: clip i has seed + i, and so is the clip that this seed gives on its own."""
    return [torch.Generator().manual_seed((seed + i) % 2**64) for i in range(clips)]


def draw_noise(generators: Sequence[torch.Generator], frames: int, channels: int, height: int, width: int) -> Tensor:
    """Unit Gaussian noise, (b t) c h w fp32, one generator per clip, on the generators' device."""
    shape = (frames, channels, height, width)
    return torch.cat([torch.randn(shape, generator=g, device=g.device) for g in generators])
