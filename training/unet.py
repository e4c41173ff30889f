"""The UNet's training, with the condition encoder: EDM's denoising loss on a pool of clips that is slowly renewed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ..svd.attention import Attention, SpatialVideoTransformer
from ..svd.checkpoint import Models
from ..svd.edm import c_in, c_noise, c_out, c_skip
from ..svd.layers import VideoResBlock
from ..svd.unet import UNet
from .cards import Cards
from .draw import Draw
from .loop import Limit, Run, compile_blocks
from .pool import Samples, Studio
from .presets import Preset, untrained_clip, untrained_unet

DROP_BOTH, DROP_ONE = 0.08, 0.04  # share of clips told no picture at all, and each half of it alone


@dataclass(frozen=True)
class Shape:
    """Clips of one shape: latent cells, how many a step, how many in the pool."""

    frames: int
    height: int
    width: int
    batch: int
    clips: int


@dataclass(frozen=True)
class Plan:
    """What is trained on: clips of the shape `main`, and now and then others. Batches and pools are of one card.

    early, late, p_std: log sigma is drawn from N(early, p_std) for the first three tenths of the time, then the mean
    goes to `late` within three more. The move is decided between sigma 10 and 200, detail below 3.
    """

    main: Shape
    long: Shape
    others: tuple[Shape, ...]
    renew: int = 4  # steps between two renewals of 16 of the main pool's clips
    early: float = 1.8
    late: float = 1.0
    p_std: float = 1.8

    def p_mean(self, share: float) -> float:
        """The mean of log sigma when `share` of the training is over."""
        return self.early + (self.late - self.early) * min(max((share - 0.3) / 0.3, 0.0), 1.0)


NANO_PLAN = Plan(
    Shape(14, 32, 32, 24, 1920),
    Shape(25, 32, 32, 12, 384),
    tuple(Shape(t, h, w, 12, 48) for t, h, w in ((14, 40, 40), (14, 24, 36), (20, 32, 32), (14, 36, 24), (8, 32, 32))),
)
# For training on from a file that knows how to move: more of the noise levels that decide detail.
FURTHER_PLAN = replace(NANO_PLAN, early=1.2, late=0.8)


def sigmas(draw: Draw, count: int, p_mean: float, p_std: float) -> Tensor:
    """exp(N(p_mean, p_std)), one from each of `count` equally likely ranges. (count,)"""
    quantile = (torch.arange(count, device=draw.device) + draw.uniform(0.001, 0.999, count)) / count
    return (p_mean + p_std * torch.special.ndtri(quantile.double())).exp().float()


def question(samples: Samples, draw: Draw, p_mean: float, p_std: float) -> tuple[Tensor, ...]:
    """What the networks are asked at random noise levels, and the answer that EDM's loss wants.

    Returns x_in (b t) 8 h w; c_noise (b); pixels; how much of the context is told (b); scalars; the target for F,
    (x_0 - c_skip x) / c_out, (b t) 4 h w. The weight of the loss is the one that makes F's error uniform.
    """
    latents = samples.latents.float()
    b = len(latents)
    sigma = sigmas(draw, b, p_mean, p_std)
    s = sigma[:, None, None, None, None]
    x = latents + s * draw.normal(*latents.shape)
    both = 1 - draw.chance(DROP_BOTH, b)
    tell_concat, tell_context = both * (1 - draw.chance(DROP_ONE, b)), both * (1 - draw.chance(DROP_ONE, b))
    concat = (samples.concat.float() * tell_concat[:, None, None, None])[:, None].expand_as(latents)
    x_in = rearrange(torch.cat([c_in(s) * x, concat], dim=2), "b t c h w -> (b t) c h w")
    target = rearrange((latents - c_skip(s) * x) / c_out(s), "b t c h w -> (b t) c h w")
    return x_in, c_noise(sigma), samples.pixels, tell_context, samples.scalars, target


def denoising_loss(
    unet: UNet, clip: Any, x_in: Tensor, noise: Tensor, pixels: Tensor, told: Tensor, scalars: Tensor, target: Tensor
) -> Tensor:
    """Mean squared error of F on a `question`."""
    context = clip(pixel_values=pixels.to(unet.dtype)).image_embeds[:, None] * told[:, None, None].to(unet.dtype)
    output = unet(x_in.to(unet.dtype), noise, context, scalars, frames=len(x_in) // len(noise))
    return F.mse_loss(output.float(), target)


def attend_all_clips_at_once(unet: UNet) -> None:
    """Over time, training attends in one call for the whole batch; the network's own way is one call a clip."""

    def over_time(self: Attention, x: Tensor, frames: int) -> Tensor:
        split = "(b t) s (h d) -> (b s) h t d"
        q, k, v = (rearrange(f(x), split, t=frames, h=self.heads) for f in (self.to_q, self.to_k, self.to_v))
        y = F.scaled_dot_product_attention(q, k, v)
        return rearrange(y, "(b s) h t d -> (b t) s (h d)", s=x.shape[1])

    for module in unet.modules():
        if isinstance(module, Attention):
            module.over_time = MethodType(over_time, module)  # type: ignore[method-assign]


class Pools:
    """The pools of a plan, made when first used."""

    def __init__(self, studio: Studio, plan: Plan) -> None:
        self.studio, self.plan = studio, plan
        self.made: dict[Shape, Samples] = {}

    def draw(self, shape: Shape) -> Samples:
        if shape not in self.made:
            self.made[shape] = self.studio.pool(shape.clips, shape.frames, shape.height, shape.width)
        return self.made[shape][self.studio.draw.integers(shape.clips, shape.batch)]

    def renew(self, shape: Shape, count: int = 16) -> None:
        new = self.studio.samples(count, shape.frames, shape.height, shape.width)
        self.made[shape][self.studio.draw.integers(shape.clips, count)] = new


def shape_of_step(plan: Plan, step: int) -> Shape:
    """Every 8th step long clips, every 40th another shape."""
    if step % 40 == 39:
        return plan.others[step // 40 % len(plan.others)]
    if step % 8 == 7:
        return plan.long
    return plan.main


def compiled_shapes(plan: Plan) -> tuple[Shape, ...]:
    """The shapes of most steps: each takes a minute or more to compile."""
    return plan.main, plan.long


def train_unet(
    preset: Preset, plan: Plan, studio: Callable[[], Studio], limit: Limit, state: Path, lr: float = 1e-3,
    cards: Cards | None = None, dtype: torch.dtype = torch.float32, compiled: bool = False,
    pause: float = float("inf"), report: Callable[[Run], None] = lambda run: None, start: Models | None = None,
) -> tuple[UNet, Any, Run]:  # fmt: skip
    """The UNet and the condition encoder as the last step left them; the run holds their average.

    studio: asked for once, after compiling. pause: stop after so many seconds in all, to go on another time. report:
    called every 100 steps. start: weights to start from instead of random ones.
    """
    device = cards.device if cards else torch.device("cpu")
    unet, clip = untrained_unet(preset.unet).to(device, dtype), untrained_clip(preset.clip).to(device, dtype).train()
    attend_all_clips_at_once(unet)
    if start is not None:
        unet.load_state_dict(start.unet.state_dict())
        clip.load_state_dict(start.clip.state_dict())
    loss = partial(denoising_loss, unet, clip)
    run = Run([unet, clip], lr, limit, cards)
    run.average.decay = 0.999
    run.resume(state)
    if compiled:
        compile_blocks(unet, VideoResBlock, SpatialVideoTransformer)
        for shape in compiled_shapes(plan):
            torch.autograd.grad(loss(*blank(shape, preset.clip.image_size, device)), run.params, allow_unused=True)
        torch.cuda.empty_cache()  # another stage may be at work on this card
    pools = Pools(studio(), plan)
    while run.share < 1 and run.seconds < pause:
        shape = shape_of_step(plan, run.step)
        samples = pools.draw(shape)
        with torch.compiler.set_stance("default" if shape in compiled_shapes(plan) else "force_eager"):
            asked = question(samples, pools.studio.draw, plan.p_mean(run.share), plan.p_std)
            run.update(loss, *asked, record=shape not in plan.others)
        if shape == plan.main and run.step % plan.renew == 0:
            pools.renew(shape)
        if run.step % 100 == 0:
            report(run)
    return unet, clip, run


def blank(shape: Shape, pixels: int, device: torch.device | str) -> tuple[Tensor, ...]:
    """A question of a shape, of zeros: to compile for it."""
    b, images = shape.batch, (shape.batch * shape.frames, shape.height, shape.width)
    sizes = ((images[0], 8, *images[1:]), (b,), (b, 3, pixels, pixels), (b,), (b, 3), (images[0], 4, *images[1:]))
    return tuple(torch.zeros(size, device=device) for size in sizes)
