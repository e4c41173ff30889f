"""The noise schedule and the preconditioning of SVD, as pure functions of the noise level sigma.

EDM: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv:2206.00364, Table 1.
SVD: Blattmann et al., "Stable Video Diffusion", arXiv:2311.15127, appendix D. Throughout, sigma_data = 1.
Tables are computed in float64 and returned in fp32 on the CPU.
"""

from typing import Any

import torch
from torch import Tensor

from .errors import InputError

SIGMA_MIN = 0.002
SIGMA_MAX = 700.0
RHO = 7.0
FP64: dict[str, Any] = {"dtype": torch.float64, "device": "cpu"}  # whatever torch's defaults are
LATENT_SCALE = 0.18215  # makes VAE latents unit variance, as sigma_data = 1 asks

# "Align Your Steps", Sabour et al., arXiv:2404.14507: the published 10-step schedule for SVD.
ALIGN_YOUR_STEPS = (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002)


def karras_sigmas(steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX, rho: float = RHO) -> Tensor:
    """EDM eq. 5: sigma_i = (max^(1/rho) + i/(n-1) (min^(1/rho) - max^(1/rho)))^rho for i < n, then sigma_n = 0.

    Returns (steps + 1,). One step is the jump from sigma_max to 0. InputError on numbers that make no schedule.
    """
    _check(steps, sigma_min, sigma_max, rho)
    ramp = torch.linspace(0, 1, steps, **FP64)
    max_root, min_root = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return _end_at_zero((max_root + ramp * (min_root - max_root)) ** rho)


def align_your_steps_sigmas(steps: int, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX) -> Tensor:
    """The Align Your Steps schedule, log-linearly interpolated to any step count and to the given ends.

    The published table is for 10 steps and ends at 0.002; like its authors we replace that last entry by 0.
    Other ends stretch the table in log sigma. Returns (steps + 1,). InputError on numbers that make no schedule.
    """
    _check(steps, sigma_min, sigma_max, RHO)
    table = torch.tensor(ALIGN_YOUR_STEPS, **FP64).log()
    low, high = torch.tensor([sigma_min, sigma_max], **FP64).log()
    table = low + (table - table[-1]) * (high - low) / (table[0] - table[-1])
    position = torch.linspace(0, len(table) - 1, steps + 1, **FP64)
    below = position.floor().clamp(max=len(table) - 2).long()
    log_sigmas = torch.lerp(table[below], table[below + 1], position - below)
    return _end_at_zero(log_sigmas[:-1].exp())


def c_skip(sigma: Tensor) -> Tensor:
    """How much of the noisy input passes straight to the denoised output."""
    return 1 / (sigma**2 + 1)


def c_out(sigma: Tensor) -> Tensor:
    """Scale of the network's output. Negative: SVD predicts v."""
    return -sigma / (sigma**2 + 1).sqrt()


def c_in(sigma: Tensor) -> Tensor:
    """Scales the noisy input, of variance sigma^2 + 1, to unit variance."""
    return 1 / (sigma**2 + 1).sqrt()


def c_noise(sigma: Tensor) -> Tensor:
    """What the network is told of the noise level: log sigma / 4."""
    return 0.25 * sigma.log()


def _end_at_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)]).float()


def _check(steps: int, sigma_min: float, sigma_max: float, rho: float) -> None:
    if steps < 1:
        raise InputError(f"steps is {steps}: at least 1 is needed (25 is usual).")
    if not 0 < sigma_min < float("inf") or not 0 < sigma_max < float("inf"):
        raise InputError(
            f"sigma_min is {sigma_min} and sigma_max is {sigma_max}: both must be above 0 and finite "
            f"(the model was trained with {SIGMA_MIN} and {SIGMA_MAX:g})."
        )
    if sigma_min > sigma_max:
        raise InputError(f"sigma_min {sigma_min} is above sigma_max {sigma_max}: swap them.")
    if not 0 < rho < float("inf"):
        raise InputError(f"rho is {rho}: it must be above 0 (7 is usual).")
