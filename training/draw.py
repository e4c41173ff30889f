"""Seeded random draws on any device, in the shapes that pictures and moves are made of."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """A generator with the distributions that the scenes and the camera use. Everything is fp32."""

    generator: torch.Generator

    @classmethod
    def seeded(cls, seed: int, device: torch.device | str = "cpu") -> "Draw":
        return cls(torch.Generator(device).manual_seed(seed))

    @property
    def device(self) -> torch.device:
        return self.generator.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, probability: float | Tensor, *shape: int) -> Tensor:
        """1 with the given probability, otherwise 0."""
        return (torch.rand(shape, generator=self.generator, device=self.device) < probability).float()

    def sign(self, *shape: int) -> Tensor:
        return 2 * self.chance(0.5, *shape) - 1

    def integers(self, high: int, *shape: int) -> Tensor:
        """0 .. high - 1, int64."""
        return torch.randint(high, shape, generator=self.generator, device=self.device)
