"""GroupNorm, what is to be added before it, and SiLU after it; in one step, or in two for maps that come in pieces."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .choice import channels_last, fast


def group_norm(
    x: Tensor,
    norm: Any,
    add: Tensor | None = None,
    silu: bool = True,
    moments: Tensor | None = None,
    used_up: bool = False,
) -> Tensor:
    """silu(norm(x + add)), or without the SiLU: (n c h w) -> (n c h w).

    add: (c,) for all; (n c), one vector for each of the n; or (n h, c), one for each row of each, a clip's frames say.
    moments: x's, if `add_and_measure` or `concatenate_and_measure` gave them. used_up: nobody needs x afterwards, so
    the result may take its place in memory.
    """
    if add is not None and add.ndim == 1:
        add = add.expand(len(x), -1)
    if fast(x, norm) and channels_last(x):
        from .gpu import group_norm as gpu

        segments = len(x) if add is None else len(add)
        add = None if add is None else add.contiguous()
        if moments is None or (add is not None and len(moments) != segments):
            moments = gpu.moments(x, segments)
        rows = x.numel() // (x.shape[1] * len(moments))
        factors = gpu.affine(moments, rows, len(x), norm.num_groups, norm.weight, norm.bias, norm.eps, add)
        return gpu.apply(x, *factors, silu, in_place=used_up and not x.requires_grad)
    if add is not None:
        x = x + as_map(add, x)
    if len(x) == 1 and not torch.is_grad_enabled():
        # A single clip's own stride may be anything: said as it would be, or the norm copies to another layout.
        x = x.as_strided(x.shape, (x.numel(), *x.stride()[1:]))
    y = norm(x)
    return F.silu(y, inplace=not torch.is_grad_enabled()) if silu else y


def add_and_measure(
    x: Tensor, y: Tensor, add: Tensor | None = None, share: Tensor | None = None, segments: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """x + share (y + add), (n c h w) with (c,) or None for 0, and its moments for a norm that follows.

    share: a single number in fp32, None for 1. segments: how many runs of places have moments of their own, n if not
    given. No moments where the norm takes them by itself.
    """
    if fast(x) and channels_last(x, y):
        from .gpu import group_norm as gpu

        return gpu.add_and_measure(x, y, add, share, segments or len(x))
    y = added(y, add)
    return x + y if share is None else x.addcmul(y, share.to(x.dtype)), None


def concatenate_and_measure(
    x: Tensor, y: Tensor, x_add: Tensor | None = None, y_add: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """x + x_add beside y + y_add, and the moments of every image of it, if the norm does not take them by itself.

    (n a h w), (n b h w), with (a,) and (b,) or None -> (n a+b h w).
    """
    if fast(x) and channels_last(x, y):
        from .gpu import group_norm as gpu

        return gpu.concatenate_and_measure(x, y, x_add, y_add)
    return torch.cat([added(x, x_add), added(y, y_add)], dim=1), None


def added(x: Tensor, add: Tensor | None) -> Tensor:
    """x + add: (n c h w), with (c,) or None."""
    if add is None:
        return x
    if fast(x) and channels_last(x):
        from .gpu import group_norm as gpu

        return gpu.added(x, add)
    return x + add[:, None, None]


def as_map(add: Tensor, x: Tensor) -> Tensor:
    """Vectors of every segment (segments c) as something to add to x (n c h w): (n c 1|h 1)."""
    return add.unflatten(0, (len(x), -1)).transpose(1, 2)[..., None]


@dataclass(frozen=True)
class Moments:
    """Of k parts of n maps, fp32: each channel's mean and summed squared deviations (n k c), the parts' places (k,)."""

    mean: Tensor
    squares: Tensor
    count: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "Moments":
        """Of maps (n c h w)."""
        rows = x.shape[2] * x.shape[3]
        if fast(x) and channels_last(x):
            from .gpu import group_norm as gpu

            mean, squares = gpu.moments(x, len(x)).unbind(2)
            splits = torch.arange(mean.shape[1], device=x.device)
            step = -(-rows // len(splits))
            return cls(mean, squares, (rows - splits * step).clamp(max=step).float())
        pairs = [_moments(image.float()) for image in x]  # one fp32 copy at a time
        mean, squares = (torch.stack(values)[:, None] for values in zip(*pairs, strict=True))
        return cls(mean, squares, torch.full((1,), float(rows), device=x.device, dtype=torch.float32))

    def of_clips(self, frames: int) -> "Moments":
        """The moments of images (b t) as those of clips b."""
        n, k, c = self.mean.shape
        mean, squares = (y.reshape(n // frames, frames * k, c) for y in (self.mean, self.squares))
        return Moments(mean, squares, self.count.repeat(frames))


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Every channel's mean and summed squared deviations, (c h w) -> (c), (c).

    In channels-last memory torch.var_mean takes several times as long on a processor as these sums.
    """
    mean = image.mean(dim=(1, 2))
    return mean, (image - mean[:, None, None]).square_().sum(dim=(1, 2))


def factors(parts: Sequence[Moments], norm: Any) -> tuple[Tensor, Tensor]:
    """The norm over all parts as a scale and a shift of every channel, (n c) fp32 each."""
    mean, squares = (torch.cat([getattr(part, name) for part in parts], dim=1) for name in ("mean", "squares"))
    count = torch.cat([part.count for part in parts])[:, None, None]
    mean, squares = (y.unflatten(2, (norm.num_groups, -1)) for y in (mean, squares))  # n k g c/g
    size = count.sum() * mean.shape[-1]
    centre = (mean * count).sum(dim=(1, 3)) / size  # n g
    spread = (squares + count * (mean - centre[:, None, :, None]) ** 2).sum(dim=(1, 3)) / size
    weight, bias = (
        y.to(mean.device, torch.float32).unflatten(0, (norm.num_groups, -1)) for y in (norm.weight, norm.bias)
    )
    scale = weight * (spread + norm.eps).rsqrt()[..., None]  # n g c/g
    return scale.flatten(1), (bias - centre[..., None] * scale).flatten(1)


def scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """silu(scale x + shift): (n c h w) with (n c)."""
    if fast(x) and channels_last(x):
        from .gpu import group_norm as gpu

        return gpu.apply(x, scale, shift, silu=True)
    y = torch.addcmul(shift[..., None, None], x, scale[..., None, None]).to(x.dtype)
    return F.silu(y, inplace=not torch.is_grad_enabled())
