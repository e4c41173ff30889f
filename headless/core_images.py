"""Stand-ins for the host's own nodes that put pictures together: the same ids, inputs and results, written anew."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..nodes.host.standalone import io
from ..svd.image import resize

COLOURS: dict[str, tuple[float, float, float]] = {
    "white": (1, 1, 1),
    "black": (0, 0, 0),
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
}
ACROSS = {"right": 2, "left": 2, "down": 1, "up": 1}  # the dimension of `t h w c` that grows


class ImageStitch(io.ComfyNode):
    """Two pictures, or two films frame by frame, beside or above each other."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageStitch",
            display_name="Image Stitch",
            category="image/transform",
            inputs=[
                io.Image.Input("image1"),
                io.Combo.Input("direction", options=list(ACROSS), default="right"),
                io.Boolean.Input("match_image_size", default=True),
                io.Int.Input("spacing_width", default=0, min=0, max=1024, step=2),
                io.Combo.Input("spacing_color", options=list(COLOURS), default="white"),
                io.Image.Input("image2", optional=True),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(
        cls,
        image1: Tensor,
        direction: str,
        match_image_size: bool,
        spacing_width: int,
        spacing_color: str,
        image2: Tensor | None = None,
    ) -> io.NodeOutput:
        if image2 is None:
            return io.NodeOutput(image1)
        across = ACROSS[direction]
        along = 3 - across
        pair = _same_depth(*_same_length(image1, image2))
        if match_image_size:
            scale = pair[0].shape[along] / pair[1].shape[along]
            height, width = pair[0].shape[1:3]
            height, width = (
                (height, int(pair[1].shape[2] * scale)) if across == 2 else (int(pair[1].shape[1] * scale), width)
            )
            pair = pair[0], resize(pair[1].movedim(-1, 1), width, height).movedim(1, -1)
        else:
            margin = "white" if spacing_color == "white" else "black"  # as in the editor, which has no others here
            pair = _same_side(*pair, along, COLOURS[margin])
        first, second = pair if direction in ("right", "down") else pair[::-1]
        parts = [first, second]
        if spacing_width:
            shape = list(first.shape)
            shape[across] = spacing_width + spacing_width % 2
            parts.insert(1, _filled(shape, COLOURS[spacing_color]))
        return io.NodeOutput(torch.cat(parts, dim=across))


class ImageBatch(io.ComfyNode):
    """Two pictures as one batch; the second takes the first one's size, cut evenly where the shapes differ."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageBatch",
            display_name="Batch Images",
            category="image",
            inputs=[io.Image.Input("image1"), io.Image.Input("image2")],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image1: Tensor, image2: Tensor) -> io.NodeOutput:
        height, width = image1.shape[1:3]
        if image2.shape[1:3] != (height, width):
            image2 = F.interpolate(_cut(image2, width / height).movedim(-1, 1), (height, width), mode="bilinear")
            image2 = image2.movedim(1, -1)
        return io.NodeOutput(torch.cat(_same_depth(image1, image2)))


def _cut(images: Tensor, shape: float) -> Tensor:
    """The middle of `t h w c` that has this width by height."""
    height, width = images.shape[1:3]
    left = round((width - height * shape) / 2) if width / height > shape else 0
    top = round((height - width / shape) / 2) if width / height < shape else 0
    return images[:, top : height - top, left : width - left]


def _same_length(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The last frame of the shorter film is held."""
    length = max(len(one), len(other))
    held = [torch.cat([film, film[-1:].expand(length - len(film), -1, -1, -1)]) for film in (one, other)]
    return held[0], held[1]


def _same_depth(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Both with an alpha channel if one has it."""
    depth = max(one.shape[-1], other.shape[-1])
    filled = [F.pad(images, (0, depth - images.shape[-1]), value=1.0) for images in (one, other)]
    return filled[0], filled[1]


def _same_side(one: Tensor, other: Tensor, along: int, colour: tuple[float, float, float]) -> tuple[Tensor, Tensor]:
    """The shorter one in the middle of as much colour as it lacks."""
    length = max(one.shape[along], other.shape[along])
    sides: list[Tensor] = []
    for images in (one, other):
        shape = list(images.shape)
        shape[along] = length
        canvas, start = _filled(shape, colour), (length - images.shape[along]) // 2
        canvas.narrow(along, start, images.shape[along]).copy_(images)
        sides.append(canvas)
    return sides[0], sides[1]


def _filled(shape: list[int], colour: tuple[float, float, float]) -> Tensor:
    return torch.tensor([*colour, 1.0], dtype=torch.float32, device="cpu")[: shape[-1]].expand(shape).clone()
