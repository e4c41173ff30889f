"""A virtual camera over flat canvases: it pans, zooms and turns, alone or together, and tells how fast.

A move maps a frame's pixels, counted from its centre, to a canvas's: c = centre + s_t R(a_t) p + (1 + k.p) b_t, where k
is for plains, which pass faster where they are near. What is told of a clip is defined here. Motion bucket: the
displacement between neighbouring frames, averaged over the picture and the clip, is PIXELS_AT_255 * bucket / 255 pixels
at any picture size. fps: the camera's speed swells and sinks gently in seconds, and the clip samples it fps times a
second.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .draw import Draw

PIXELS_AT_255 = 5.0
SUPERSAMPLING = 2


@dataclass(frozen=True)
class Move:
    """Camera poses of b clips of t frames."""

    scale: Tensor  # b t, canvas pixels a frame pixel
    angle: Tensor  # b t
    shift: Tensor  # b t 2, canvas pixels
    slope: Tensor  # b 2, how much faster a frame pixel further right, further down is: a plain seen from above

    def matrix(self) -> Tensor:
        """(b t 2 3), frame to canvas."""
        cos, sin = self.scale * self.angle.cos(), self.scale * self.angle.sin()
        turned = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
        linear = turned + self.shift[..., None] * self.slope[:, None, None]
        return torch.cat([linear, self.shift[..., None]], dim=-1)


@dataclass(frozen=True)
class Clips:
    """b clips with what is told of them."""

    frames: Tensor  # b t 3 h w in 0..1
    bucket: Tensor  # b
    fps: Tensor  # b


def displacement(matrix: Tensor, height: int, width: int) -> Tensor:
    """How far the picture moves from frame to frame: (b t 2 3) -> (b t-1), pixels, averaged over the picture."""
    y = torch.linspace(-height / 2, height / 2, 7, device=matrix.device)
    x = torch.linspace(-width / 2, width / 2, 7, device=matrix.device)
    points = torch.stack([*reversed(torch.meshgrid(y, x, indexing="ij"))]).flatten(1)  # 2 n
    canvas = matrix[:, :-1, :, :2] @ points + matrix[:, :-1, :, 2:]
    back = torch.linalg.inv_ex(matrix[:, 1:, :, :2])[0] @ (canvas - matrix[:, 1:, :, 2:])
    return (back - points).norm(dim=-2).mean(dim=-1)


def progress(draw: Draw, fps: Tensor, frames: int) -> Tensor:
    """How far along its path each frame is, centred on 0: fps (b) -> (b t), one unit a frame on average."""
    seconds = torch.arange(frames - 1, device=draw.device) / fps[:, None]
    swell = draw.uniform(0, 0.35, len(fps), 1)
    speed = 1 + swell * (2 * torch.pi * (0.3 * seconds + draw.uniform(0, 1, len(fps), 1))).sin()
    path = F.pad(speed.cumsum(dim=1), (1, 0))
    return path - path[:, -1:] / 2


def draw_move(draw: Draw, bucket: Tensor, fps: Tensor, frames: int, height: int, width: int) -> Move:
    """A move for each clip whose mean displacement is what its bucket (b) tells.

    Half are pans, a sixth each zooms, a twelfth turns, the rest all at once. A third of all that pan see what is
    below pass faster than what is above, as on a plain.
    """
    b = len(bucket)
    kind = draw.uniform(0, 1, b)
    pan = ((kind < 0.5) | (kind > 0.75)).float()
    zoom = ((kind > 0.5) & (kind < 0.67) | (kind > 0.75)).float() * torch.where(
        kind > 0.75, 0.6 * draw.uniform(0, 1, b), 1
    )
    turn = ((kind > 0.67) & (kind < 0.75)).float() + (kind > 0.75) * 0.5 * draw.uniform(0, 1, b)
    reach = 0.38 * (height * width) ** 0.5  # a pixel's mean distance from the centre
    heading = draw.uniform(0, 2 * torch.pi, b)
    velocity = pan[:, None] * torch.stack([heading.cos(), heading.sin()], dim=-1)
    zoom, turn = zoom * draw.sign(b) / reach, turn * draw.sign(b) / reach
    path = progress(draw, fps, frames)
    down = draw.chance(1 / 3, b) * draw.uniform(0.2, 0.8, b) / (height / 2)
    slope = torch.stack([torch.zeros_like(down), down], dim=-1)
    base, tilt = draw.log_uniform(0.7, 1.25, b, 1), 0.1 * draw.normal(b, 1)
    target = PIXELS_AT_255 * bucket / 255
    speed = target.clone()

    def move() -> Move:
        q = speed[:, None] * path
        return Move(
            base * (zoom[:, None] * q).exp(),
            tilt + turn[:, None] * q,
            (base * q)[..., None] * velocity[:, None],
            slope,
        )

    if frames > 1:
        for _ in range(3):  # the displacement is nearly linear in the speed
            measured = displacement(move().matrix(), height, width).mean(dim=1)
            speed = speed * target / measured.clamp(min=1e-6)
    return move()


def place(draw: Draw, matrix: Tensor, height: int, width: int, size: int) -> Tensor:
    """Moves each path to a random place of its canvas where everything it sees lies inside, if it fits."""
    corners = torch.tensor([[-1.0, 1, -1, 1], [-1, -1, 1, 1]], device=matrix.device)
    corners = corners * torch.tensor([[width / 2], [height / 2]], device=matrix.device)
    seen = matrix[..., :2] @ corners + matrix[..., 2:]  # b t 2 4
    low, high = seen.amin(dim=(1, 3)), seen.amax(dim=(1, 3))
    slack = (size - (high - low)).clamp(min=0) / 2
    centre = -(low + high) / 2 + slack * draw.uniform(-1, 1, len(matrix), 2)
    return torch.cat([matrix[..., :2], matrix[..., 2:] + centre[:, None, :, None]], dim=-1)


def render(canvas: Tensor, matrix: Tensor, height: int, width: int) -> Tensor:
    """What the camera sees: canvas (b c s s) in 0..1, matrix (b t 2 3) -> (b t c h w), antialiased."""
    n, size, frames = SUPERSAMPLING, canvas.shape[-1], matrix.shape[1]
    y = (torch.arange(n * height, device=canvas.device) + 0.5) / n - height / 2
    x = (torch.arange(n * width, device=canvas.device) + 0.5) / n - width / 2
    points = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], dim=-1)  # h w 2
    grid = torch.einsum("btij,hwj->bthwi", matrix[..., :2], points) + matrix[:, :, None, None, :, 2]
    # All frames of a clip are one tall picture, so that the canvas is not copied for each.
    seen = F.grid_sample(canvas, grid.flatten(1, 2) * (2 / size), padding_mode="reflection", align_corners=False)
    return rearrange(F.avg_pool2d(seen, n), "b c (t h) w -> b t c h w", t=frames)


def scaled(matrix: Tensor, ratio: Tensor) -> Tensor:
    """The same move for a layer `ratio` (b 1 1) times as fast: nearer things pass more quickly."""
    middle = matrix.mean(dim=1, keepdim=True)
    return middle + ratio[..., None] * (matrix - middle)


@torch.no_grad()
def film(draw: Draw, canvases: Tensor, frames: int, height: int, width: int, cutouts: Tensor | None = None) -> Clips:
    """One clip of each canvas (b 3 s s uint8). With cutouts (b 1 s s) the next canvas stands in front of each."""
    b, size = len(canvases), canvases.shape[-1]
    bucket = draw.uniform(0, 256, b).floor().clamp(max=255)
    fps = draw.integers(26, b).float() + 5
    canvas = canvases.float() / 255
    if cutouts is None:
        matrix = place(draw, draw_move(draw, bucket, fps, frames, height, width).matrix(), height, width, size)
        return Clips(render(canvas, matrix, height, width).clamp(0, 1), bucket, fps)
    ratio = draw.uniform(1.2, 1.6, b, 1, 1)
    covered = cutouts.mean(dim=(1, 2, 3))
    slower = bucket / (1 - covered + covered * ratio[:, 0, 0])  # so that the mean is what is told
    matrix = place(draw, draw_move(draw, slower, fps, frames, height, width).matrix(), height, width, size)
    front = torch.cat([canvas.roll(1, dims=0) * cutouts, cutouts], dim=1)
    near = render(front, scaled(matrix, ratio), height, width)
    far = render(canvas, matrix, height, width)
    return Clips((far * (1 - near[:, :, 3:]) + near[:, :, :3]).clamp(0, 1), bucket, fps)
