"""The autoencoder's training: first on single pictures, then its decoder on clips.

After the first stage the latents are made white, and the change is folded into the weights on both sides, so that
latents times 0.18215 have mean 0, variance 1 and no correlation between channels, as the UNet's sigma_data = 1 asks.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..svd.config import VAEConfig
from ..svd.edm import LATENT_SCALE
from ..svd.vae import VAE, ResnetBlock
from .camera import film, render
from .cards import Cards
from .draw import Draw
from .loop import Limit, Run, compile_blocks
from .presets import picture_vae, video_vae
from .scenes import SIZE, cutout, paint

CROPS, CLIPS = 80, 16  # of a step, over all cards


def canvases(draw: Draw, count: int, size: int = SIZE) -> Tensor:
    """A stock of canvases on the draw's device, (count 3 size size) uint8."""
    return torch.cat([paint(draw, min(32, count - i), size) for i in range(0, count, 32)])


def masks(draw: Draw, count: int, size: int = SIZE) -> Tensor:
    """A stock of foreground masks, (count 1 size size) fp16."""
    return torch.cat([cutout(draw, min(32, count - i), size).half() for i in range(0, count, 32)])


def pick(draw: Draw, stock: Tensor, count: int) -> Tensor:
    """Some of a stock, half of them the other way round."""
    chosen = stock[draw.integers(len(stock), count)]
    return torch.where(draw.chance(0.5, count, 1, 1, 1) > 0, chosen.flip(-1), chosen)


def stills(draw: Draw, canvas: Tensor, size: int) -> Tensor:
    """A square crop of each canvas (b 3 s s uint8), at any place, scale and tilt: (b 3 size size) in -1..1."""
    b, side = len(canvas), canvas.shape[-1]
    scale, angle = draw.log_uniform(0.6, 2.0, b), 0.3 * draw.normal(b)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    x, y = draw.uniform(-1, 1, 2, b) * (side - scale * size).clamp(min=0) / 2
    matrix = torch.stack([torch.stack([cos, -sin, x], -1), torch.stack([sin, cos, y], -1)], -2)
    return 2 * render(canvas.float() / 255, matrix[:, None], size, size)[:, 0].clamp(0, 1) - 1


def distance(output: Tensor, target: Tensor) -> Tensor:
    """16 MSE + L1 + 0.25 of the gradients' L1 at three scales, of pictures in -1..1."""
    output, target = output.float() / 2, target / 2
    loss = 16 * F.mse_loss(output, target) + F.l1_loss(output, target)
    for _ in range(3):
        error = output - target
        loss = loss + 0.25 * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean())
        output, target = F.avg_pool2d(output, 2), F.avg_pool2d(target, 2)
    return loss


def picture_loss(vae: VAE, images: Tensor, noise: Tensor) -> Tensor:
    """Reconstruction through a latent with 3 % of noise, and a small pull towards small latents."""
    z = vae.encode(images).float()
    output = vae.decode(z + 0.03 * z.std().detach() * noise, frames=1)
    return distance(output, images) + 1e-5 * z.square().mean()


def clip_loss(vae: VAE, images: Tensor, noise: Tensor, frames: int) -> Tensor:
    """Reconstruction by the temporal decoder; the encoder stays. images: (b t) 3 h w."""
    with torch.no_grad():
        z = vae.encode(images).float()
    return distance(vae.decode(z + 0.03 / LATENT_SCALE * noise, frames), images)


@torch.no_grad()
def whiten(vae: VAE, images: Tensor) -> None:
    """Changes quant_conv and the decoder's conv_in so that scaled latents of `images` are white."""
    z = torch.cat([vae.encode(piece) for piece in images.split(16)]).transpose(0, 1).flatten(1).double()
    mean, covariance = z.mean(dim=1), z.cov()
    values, vectors = torch.linalg.eigh(covariance)
    forward = (vectors / values.sqrt()).mT / LATENT_SCALE  # z' = forward (z - mean)
    backward = torch.linalg.inv(forward)
    quant: Any = vae.quant_conv
    c, conv = len(mean), vae.decoder.conv_in
    quant.weight[:c] = (forward @ quant.weight[:c].double().flatten(1))[..., None, None].float()
    quant.bias[:c] = (forward @ (quant.bias[:c].double() - mean)).float()
    conv.bias += (conv.weight.double().sum(dim=(2, 3)) @ mean).float()
    conv.weight.copy_(torch.einsum("omkl,mi->oikl", conv.weight.double(), backward).float())


def train_pictures(
    config: VAEConfig, draw: Draw, stock: Tensor, limit: Limit, state: Path, batch: int = 20, size: int = 192,
    lr: float = 1e-3, dtype: torch.dtype = torch.float32, compiled: bool = False, cards: Cards | None = None,
    report: Callable[[Run], None] = lambda run: None,
) -> tuple[VAE, Run]:  # fmt: skip
    """The first stage. The result has the averaged weights, in fp32, and white latents.

    batch: crops a card. report: called every 100 steps.
    """
    vae = picture_vae(config).to(draw.device, dtype)
    if compiled:
        compile_blocks(vae, ResnetBlock)
    run = Run([vae], lr, limit, cards)
    run.resume(state)
    loss = partial(picture_loss, vae)
    while run.share < 1:
        images = stills(draw, pick(draw, stock, batch), size)
        run.update(loss, images, draw.normal(batch, 4, size // 8, size // 8))
        if run.step % 100 == 0:
            report(run)
    run.forget_recordings()
    result = picture_vae(config).to(draw.device)
    result.load_state_dict(vae.state_dict())
    for p, value in zip(result.parameters(), run.average.values, strict=True):
        p.data.copy_(value)
    whiten(result, torch.cat([stills(draw, pick(draw, stock, 32), size) for _ in range(8)]))
    run.cards.alike(result.parameters())  # each card has seen other pictures
    return result, run


def train_clips(
    config: VAEConfig, pictures: VAE, draw: Draw, stock: Tensor, limit: Limit, state: Path, batch: int = 4,
    frames: int = 14, size: int = 192, lr: float = 4e-4, dtype: torch.dtype = torch.float32,
    cards: Cards | None = None, report: Callable[[Run], None] = lambda run: None,
) -> tuple[VAE, Run]:  # fmt: skip
    """The second stage: the decoder with temporal layers, on clips, now and then cut in two or into single frames.

    pictures: the first stage's, or a whole autoencoder whose decoder is trained on. The encoder stays as it is, so that
    a UNet trained on its latents stays right.
    """
    vae = video_vae(config, pictures).to(draw.device, dtype)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    run = Run([vae], lr, limit, cards)
    run.resume(state)
    losses = {length: partial(clip_loss, vae, frames=length) for length in (frames, frames // 2, 1)}
    while run.share < 1:
        clips = film(draw, pick(draw, stock, batch), frames, size, size).frames.flatten(0, 1) * 2 - 1
        noise = draw.normal(len(clips), 4, size // 8, size // 8)
        length = {7: 1, 15: frames // 2}.get(run.step % 16, frames)
        run.update(losses[length], clips, noise)
        if run.step % 100 == 0:
            report(run)
    run.forget_recordings()
    vae.float().encoder.load_state_dict(pictures.encoder.state_dict())  # in fp32 as they were
    vae.quant_conv.load_state_dict(pictures.quant_conv.state_dict())
    run.use_average()
    return vae, run
