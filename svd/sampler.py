"""The sampler: EDM's stochastic Euler method on SVD's guided denoiser.

Algorithm 2 of arXiv:2206.00364 without its second-order correction, as SVD's authors sample. With churn 0, the
default, it is the deterministic Euler method. The state is fp32 whatever the network runs in: at sigma = 700 half
precision would round it to multiples of 2.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .conditioning import Conditioning
from .edm import c_in, c_noise, c_out, c_skip
from .errors import NonFiniteError
from .guidance import guide
from .inference import inference
from .noise import draw_noise
from .unet import UNet

Callback = Callable[[int, int, Tensor], None]  # step 1..total, total, denoised estimate (b t) c h w
Scale = Tensor | Callable[[], Tensor]
OnState = Callable[[int, Tensor], Tensor]  # step 1..total, state after it (b t) c h w -> the state to go on with


@dataclass(frozen=True)
class Churn:
    """Fresh noise added before each step, EDM's S_churn, S_tmin, S_tmax and S_noise. Off by default."""

    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = float("inf")
    s_noise: float = 1.0

    def gamma(self, sigma: Tensor, steps: int) -> float:
        """How much to raise sigma by, as a share of it."""
        return min(self.s_churn / steps, 2**0.5 - 1) if self.s_tmin <= sigma <= self.s_tmax else 0.0


def start(noise: Tensor, sigma: Tensor, latent: Tensor | None = None) -> Tensor:
    """The state at noise level sigma that sampling starts from; all (b t) c h w.

    From nothing, the noise stands for noise and data together (variance sigma^2 + 1, as sgm starts). From a clean
    latent, it is the latent with noise of level sigma on top.
    """
    return noise * (1 + sigma**2).sqrt() if latent is None else latent + sigma * noise


@inference
def sample(
    unet: UNet,
    conditioning: Conditioning,
    x: Tensor,
    sigmas: Tensor,
    scale: Scale,
    *,
    churn: Churn = Churn(),
    generators: Sequence[torch.Generator] = (),
    callback: Callback | None = None,
    on_state: OnState | None = None,
    halves: bool = False,
) -> Tensor:
    """Denoises x from sigmas[0] to sigmas[-1].

    x: (b t) c h w at noise level sigmas[0] (see `start`), on the network's device. sigmas: (steps + 1,), falling.
    scale: guidance of every frame, (t,) or (b t), or a function that is asked for it at every step. generators: one per
    clip, for churn. halves: guidance's two halves run one after the other, in half the memory. Returns the latent,
    (b t) c h w fp32.
    NonFiniteError names the step after which NaN or infinity appeared.
    """
    frames = len(x) // len(conditioning.context)
    denoise = guided_denoiser(unet, conditioning.to(x.device, unet.dtype), frames, halves)
    x, sigmas = x.float(), sigmas.to(x.device)
    steps = len(sigmas) - 1
    for step, (sigma, next_sigma) in enumerate(pairwise(sigmas), start=1):
        sigma_hat = sigma * (1 + churn.gamma(sigma, steps))
        if sigma_hat > sigma:
            noise = draw_noise(generators, frames, *x.shape[1:]).to(x.device)
            x = x + (sigma_hat**2 - sigma**2).sqrt() * churn.s_noise * noise

        denoised = denoise(x, sigma_hat, scale() if callable(scale) else scale)
        d = (x - denoised) / sigma_hat
        x = x + (next_sigma - sigma_hat) * d

        _check_finite(x, step, steps, unet.dtype)
        if callback is not None:
            callback(step, steps, denoised)
        if on_state is not None:
            x = on_state(step, x)
    return x


def guided_denoiser(
    unet: UNet, conditioning: Conditioning, frames: int, halves: bool = False
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """D(x; sigma, scale) of the guided model. Guidance's two halves go through the network as one batch, or one by one.

    Where every frame's scale is 1 the unconditional half cancels, and is not computed. The picture's latent stands
    beside the noisy one as the VAE gave it, scaled neither to unit variance nor by c_in: so the model was trained.
    """
    clips = len(conditioning.context)

    def denoise(x: Tensor, sigma: Tensor, scale: Tensor) -> Tensor:
        told = [conditioning]
        if bool((scale != 1).any()):
            uncond = conditioning.unconditional()
            told = [uncond, conditioning] if halves else [uncond.cat(conditioning)]
        x_in = (c_in(sigma) * x).to(unet.dtype)
        outputs: list[Tensor] = []  # EDM's F, of one half each
        for each in told:
            concat = each.concat.repeat_interleave(frames, dim=0)
            batch = torch.cat([x_in.repeat(len(concat) // len(x_in), 1, 1, 1), concat], dim=1)
            v = unet(batch, c_noise(sigma), each.context, each.scalars, frames).float()
            outputs += v.split(len(x))
        frame_scale = scale.to(x.device).expand(clips, frames).reshape(-1, 1, 1, 1)
        v = guide(outputs[0], outputs[1], frame_scale) if len(outputs) == 2 else outputs[0]
        # Guiding F is the same as guiding D, which is c_skip x + c_out v for both.
        return c_skip(sigma) * x + c_out(sigma) * v

    return denoise


def _check_finite(x: Tensor, step: int, steps: int, dtype: torch.dtype) -> None:
    if not x.isfinite().all():
        remedy = "load the model in bf16 or fp32" if dtype == torch.float16 else "check the checkpoint with `inspect`"
        raise NonFiniteError(f"The sampler's state became NaN or infinite in step {step} of {steps}: {remedy}.")
