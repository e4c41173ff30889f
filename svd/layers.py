"""What the UNet and the VAE are built from.

Everything lives in channels-last (NHWC) memory. There a clip's frames can be seen as images, `(b t) c h w`, or as one
tall image per clip whose rows are the frames, `b c t (h w)`, without moving a byte. In the second view a [3,1,1]
convolution over time is a (3,1) convolution, and a GroupNorm takes its statistics over all frames: the temporal half of
every residual block is the spatial half's code on the other view, and no Conv3d is needed on any device.

Layers that own weights come from `ops`, by default `torch.nn`; a host passes its own to stream them.
"""

import math
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from .kernels import add_and_measure, group_norm, temporal_conv, temporal_conv_onto, unbiased, upsample_conv

Ops = Any  # torch.nn, or a namespace with the same layer classes

GROUPS = 32


def as_clip(x: Tensor, frames: int) -> Tensor:
    """Frames as the rows of one tall image per clip: "(b t) c h w -> b c t (h w)"."""
    return rearrange(x, "(b t) c h w -> b c t (h w)", t=frames)


def as_images(x: Tensor, height: int) -> Tensor:
    """The inverse of `as_clip`: "b c t (h w) -> (b t) c h w"."""
    return rearrange(x, "b c t (h w) -> (b t) c h w", h=height)


def sinusoid(value: Tensor, channels: int, period: float = 10000.0) -> Tensor:
    """(...) -> (... channels) fp32: cos(v f), sin(v f) for frequencies f falling from 1 towards 1/period.

    Always fp32: half precision cannot hold a motion bucket of 300 next to an augmentation of 0.02.
    """
    half = channels // 2
    frequencies = torch.exp(-math.log(period) * torch.arange(half, device=value.device, dtype=torch.float32) / half)
    angles = value.float()[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def embedding_mlp(c_in: int, c_hidden: int, c_out: int, ops: Ops) -> nn.Sequential:
    """Linear, SiLU, Linear: turns a sinusoid into an embedding."""
    return nn.Sequential(ops.Linear(c_in, c_hidden), nn.SiLU(), ops.Linear(c_hidden, c_out))


class TimeMixer(nn.Module):
    """The UNet's blend of a spatial and a temporal branch: sigmoid(mix_factor) is the spatial branch's share."""

    def __init__(self) -> None:
        super().__init__()
        self.mix_factor = nn.Parameter(torch.zeros(1))

    def forward(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The spatial and the temporal branch's share, fp32. Called, so that hooks can bring the factor."""
        factor = share(self.mix_factor, device)
        return factor, 1 - factor


def share(mix_factor: Tensor, device: torch.device) -> Tensor:
    """sigmoid(mix_factor), fp32. Brought to the data at use: hosts that stream layers leave bare parameters behind."""
    return mix_factor.to(device, torch.float32).sigmoid()


class ResBlock(nn.Module):
    """GroupNorm SiLU conv, plus embedding, GroupNorm SiLU conv, plus input."""

    kernel: tuple[int, int] = (3, 3)

    def __init__(self, c_in: int, c_out: int, c_emb: int | None, ops: Ops) -> None:
        super().__init__()
        conv = {"kernel_size": self.kernel, "padding": (self.kernel[0] // 2, self.kernel[1] // 2)}
        self.in_layers = nn.Sequential(
            ops.GroupNorm(GROUPS, c_in, eps=1e-5), nn.SiLU(), ops.Conv2d(c_in, c_out, **conv)
        )
        if c_emb is not None:
            # The Identity keeps the place of a SiLU, which the network takes once for all of its blocks.
            self.emb_layers = nn.Sequential(nn.Identity(), ops.Linear(c_emb, c_out))
        self.out_layers = nn.Sequential(
            ops.GroupNorm(GROUPS, c_out, eps=1e-5), nn.SiLU(), nn.Identity(), ops.Conv2d(c_out, c_out, **conv)
        )  # the Identity keeps the place, and so the numbering, of training's dropout
        self.skip_connection = nn.Identity() if c_in == c_out else ops.Conv2d(c_in, c_out, 1)

    def forward(
        self, x: Tensor, emb: Tensor, add: Tensor | None = None, moments: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Over images: x (n, c_in, h, w), emb (n, c_emb) after its SiLU -> (n, c_out, h, w), and its moments.

        add: (c_in,), to be added to x first. Only where the block keeps the width. moments: x's. They are what the next
        norm needs (kernels.group_norm), or None where it has to take them by itself.
        """
        norm_in, _, conv_in = self.in_layers
        norm_out, _, _, conv_out = self.out_layers
        h, bias = unbiased(conv_in, group_norm(x, norm_in, add, moments=moments))
        # The bias and the embedding are the same at all places of an image: the norm adds them on its way.
        h, bias = unbiased(conv_out, group_norm(h, norm_out, plus(self.emb_layers(emb), bias), used_up=True))
        x, skip_bias = unbiased(self.skip_connection, x)
        return add_and_measure(x, h, plus(plus(bias, skip_bias), add))


class TimeResBlock(ResBlock):
    """The same over time: it sees clips, (b, c, t, h w).

    Files hold its weights as a Conv3d's, (o, i, 3, 1, 1), and loading drops the last 1 (keymap.Naming).
    """

    kernel = (3, 1)

    def __init__(self, channels: int, c_emb: int | None, ops: Ops) -> None:
        super().__init__(channels, channels, c_emb, ops)

    def forward(  # type: ignore[override]
        self, x: Tensor, share: Tensor, emb: Tensor | None = None, moments: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The blend (1 - share) x + share block(x), which is x + share branch(x): b c t s, emb (b t, c_emb).

        moments: those of x's frames. With the result come its own.
        """
        norm_in, _, conv_in = self.in_layers
        norm_out, _, _, conv_out = self.out_layers
        h, bias = temporal_conv(group_norm(x, norm_in, moments=moments), conv_in)
        add = bias if emb is None else plus(self.emb_layers(emb), bias)
        return temporal_conv_onto(x, share, group_norm(h, norm_out, add, used_up=True), conv_out)


def plus(x: Tensor | None, y: Tensor | None) -> Tensor | None:
    """The sum of what is there."""
    return y if x is None else x if y is None else x + y


class VideoResBlock(ResBlock):
    """A residual block over space, one over time on its result, and the learned blend of the two."""

    def __init__(self, c_in: int, c_out: int, c_emb: int, ops: Ops) -> None:
        super().__init__(c_in, c_out, c_emb, ops)
        self.time_stack = TimeResBlock(c_out, c_emb, ops)
        self.time_mixer = TimeMixer()

    def forward(  # type: ignore[override]
        self, x: Tensor, emb: Tensor, frames: int, add: Tensor | None = None, moments: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(b t) c_in h w -> (b t) c_out h w, and its moments; add and moments are ResBlock's."""
        x, moments = super().forward(x, emb, add, moments)
        _, temporal = self.time_mixer(x.device)
        blend, moments = self.time_stack(as_clip(x, frames), temporal, emb, moments)
        return as_images(blend, x.shape[-2]), moments


class Downsample(nn.Module):
    """Halves height and width (rounding up) with a strided convolution."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.op = ops.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Nearest neighbour to the given size or to twice the input's, then a convolution."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """`size` is (h, w): the skip connection's, which after an odd height or width is not quite twice x's."""
        height, width = size or (2 * x.shape[-2], 2 * x.shape[-1])
        return upsample_conv(x, self.conv, height, width)
