"""Measures how a picture moved: the affine map between two frames, by Gauss-Newton on their pixels, coarse to fine.

Lucas and Kanade 1981. Maps are (n 2 3) in pixels counted from the picture's centre: p in the first frame is at
A p + b in the second.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def coordinates(height: int, width: int, device: torch.device) -> Tensor:
    """(h w 2): x, y of every pixel from the centre."""
    y = torch.arange(height, device=device) - (height - 1) / 2
    x = torch.arange(width, device=device) - (width - 1) / 2
    return torch.stack([x.expand(height, -1), y[:, None].expand(-1, width)], dim=-1)


def warp(image: Tensor, affine: Tensor) -> tuple[Tensor, Tensor]:
    """image (n c h w) seen at A p + b, and where that lies inside: (n c h w), (n 1 h w)."""
    height, width = image.shape[-2:]
    points = coordinates(height, width, image.device)
    where = torch.einsum("nij,hwj->nhwi", affine[..., :2], points) + affine[:, None, None, :, 2]
    grid = where * 2 / torch.tensor([width, height], device=image.device)
    seen = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen, (grid.abs() < 1).all(dim=-1)[:, None].float()


def identity(count: int, device: torch.device) -> Tensor:
    return torch.eye(2, 3, device=device).repeat(count, 1, 1)


def fit(first: Tensor, second: Tensor, guess: Tensor | None = None, levels: int = 4, steps: int = 8) -> Tensor:
    """The map from each first frame (n c h w) to its second: (n 2 3)."""
    affine = identity(len(first), first.device) if guess is None else guess.clone()
    pyramid = [(first.mean(1, keepdim=True), second.mean(1, keepdim=True))]
    for _ in range(levels - 1):
        pyramid.append((F.avg_pool2d(pyramid[-1][0], 2), F.avg_pool2d(pyramid[-1][1], 2)))
    for level in reversed(range(levels)):
        scale = torch.tensor([1.0, 1.0, 0.5**level], device=first.device)
        affine = affine * scale
        for _ in range(steps):
            affine = _gauss_newton(*pyramid[level], affine)
        affine = affine / scale
    return affine


def _gauss_newton(a: Tensor, b: Tensor, affine: Tensor) -> Tensor:
    """One step that brings b, seen through the map, closer to a. Large differences count less (new things come in)."""
    seen, inside = warp(b, affine)
    gx, _ = warp(_slope(b, -1), affine)
    gy, _ = warp(_slope(b, -2), affine)
    points = coordinates(a.shape[-2], a.shape[-1], a.device)
    size = max(a.shape[-2:]) / 2
    basis = torch.stack([points[..., 0] / size, points[..., 1] / size, torch.ones_like(points[..., 0])])  # 3 h w
    jacobian = torch.cat([gx * basis, gy * basis], dim=1).flatten(2)  # n 6 hw
    error = (a - seen).flatten(2)  # n 1 hw
    weight = inside.flatten(2) / (1 + (error / 0.1) ** 2)
    normal = torch.einsum("nis,njs->nij", jacobian * weight, jacobian)
    right = torch.einsum("nis,ns->ni", jacobian * weight, error[:, 0])
    ridge = 1e-4 * normal.diagonal(dim1=1, dim2=2).mean(1) + 1e-8
    step = torch.linalg.solve(normal + ridge[:, None, None] * torch.eye(6, device=a.device), right)
    return affine + step.view(-1, 2, 3) / torch.tensor([size, size, 1.0], device=a.device)


def _slope(image: Tensor, dim: int) -> Tensor:
    pad = (1, 1, 0, 0) if dim == -1 else (0, 0, 1, 1)
    padded = F.pad(image, pad, mode="replicate")
    length = image.shape[dim]
    return (padded.narrow(dim, 2, length) - padded.narrow(dim, 0, length)) / 2


def compose(outer: Tensor, inner: Tensor) -> Tensor:
    """The map that does `inner`, then `outer`."""
    linear = outer[..., :2] @ inner[..., :2]
    return torch.cat([linear, outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], dim=-1)


def flow(affine: Tensor, height: int, width: int) -> Tensor:
    """Displacements (n 49 2) of a 7x7 grid of points, in pixels."""
    y = torch.linspace(-height / 2, height / 2, 7, device=affine.device)
    x = torch.linspace(-width / 2, width / 2, 7, device=affine.device)
    points = torch.stack([x.repeat(7), y.repeat_interleave(7)], dim=-1)
    return torch.einsum("nij,pj->npi", affine[..., :2], points) + affine[:, None, :, 2] - points


def clip_motion(clip: Tensor) -> tuple[Tensor, Tensor]:
    """Of one clip (t c h w): the map of every step (t-1 2 3), and from the first frame to the last (1 2 3)."""
    steps = fit(clip[:-1], clip[1:])
    whole = steps[:1]
    for step in steps[1:].split(1):
        whole = compose(step, whole)
    return steps, fit(clip[:1], clip[-1:], guess=whole, levels=2)
