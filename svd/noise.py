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
    return torch.cat([unit_noise(shape, g) for g in generators])


def unit_noise(shape: Sequence[int], generator: torch.Generator | None) -> Tensor:
    """One draw, fp32 whatever torch's default is, on the generator's device; torch's own generator without one."""
    device = generator.device if generator else "cpu"
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32, device=device)


def batch_noise(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """A batch in diffusers' order: one draw without or with one generator, else one for each item from its own."""
    if len(generators) <= 1:
        return unit_noise(shape, *generators or (None,))
    return torch.stack([unit_noise(shape[1:], g) for g in generators[: shape[0]]])
