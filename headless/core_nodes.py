"""Stand-ins for the host's own nodes that the workflows use: the same ids, inputs and defaults, written anew.

They read pictures from, and write files to, a `Workspace`; the editor has its input and output folders for that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..nodes.host.folders import spellings
from ..nodes.host.standalone import io
from ..svd import picturefile
from ..svd.errors import InputError
from .core_images import ImageBatch, ImageStitch
from .core_primitives import PRIMITIVES
from .encoders import WEBP_METHODS, Metadata
from .files import free_names, prefix_problem
from .films import write_film, write_pngs
from .text import printable
from .values import NESTED

PICTURES = Path(__file__).resolve().parents[1] / "web" / "pictures"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif")


@dataclass(frozen=True)
class Workspace:
    """Where a workflow's pictures are found and its results go."""

    output: Path
    inputs: tuple[Path, ...] = (Path(), Path("input"), PICTURES)
    metadata: Metadata = field(
        default_factory=dict
    )  # written into every file: "prompt", and "workflow" if there is one

    def find(self, name: str) -> Path:
        """The picture behind a name, which may also be a path, or say its folder as the editor does: "a.png [output]".

        Raises:
            InputError: there is none.
        """
        plain, folders = self._place(name)
        for folder in folders:
            for spelt in spellings(plain):
                if spelt and _is_file(folder / spelt):
                    return folder / spelt
        searched = ", ".join(dict.fromkeys(str(folder.resolve()) for folder in folders))
        raise InputError(f'There is no picture "{printable(name)}"; give a path, or put it in one of: {searched}.')

    def _place(self, name: str) -> tuple[str, tuple[Path, ...]]:
        """The name without the editor's mark of a folder, and the folders that it means."""
        for mark, folder in ((" [output]", "output"), (" [temp]", "temp")):
            if name.endswith(mark):
                beside = tuple(home.parent if home.name == "input" else home for home in self.inputs)
                own = (self.output,) if folder == "output" else (self.output / "preview",)
                return name.removesuffix(mark), own + tuple(dict.fromkeys(home / folder for home in beside))
        return name.removesuffix(" [input]"), self.inputs

    def names(self) -> list[str]:
        """The pictures that can be named without a path."""
        found = {path.name for folder in self.inputs if folder.is_dir() for path in folder.iterdir()}
        return sorted(name for name in found if name.lower().endswith(SUFFIXES))


class HostNode(io.ComfyNode):
    """A node of the host's own. `host_nodes` gives each class its workspace."""

    workspace: Workspace
    NEUTRAL: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Inputs that only the editor's node heeds, with the values that ask for what is done here anyway."""

    @classmethod
    def names(cls, prefix: str, suffix: str, images: Tensor, count: int = 1) -> list[Path]:
        """Names for `count` files made of `images` (`t h w c`), free as yet."""
        return free_names(cls.workspace.output, prefix, suffix, count, images.shape[2], images.shape[1])

    @classmethod
    def save_pngs(cls, prefix: str, images: Tensor) -> io.NodeOutput:
        """Writes every frame, `t h w c`, as a PNG with the workflow inside."""
        names = cls.names(prefix, ".png", images, len(images))
        return _wrote(write_pngs(names, images, cls.workspace.metadata), images)


def host_nodes(workspace: Workspace) -> list[type[io.ComfyNode]]:
    """The stand-ins; those that read or write files are bound to a workspace."""
    bound = (LoadImage, CreateVideo, SaveVideo, SaveAnimatedWEBP, SaveImage, PreviewImage)
    return [
        ImageStitch,
        ImageBatch,
        *PRIMITIVES,
        *(type(node.__name__, (node,), {"workspace": workspace}) for node in bound),
    ]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


class LoadImage(HostNode):
    """A picture from a file. An animation gives all its frames, as in the editor."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadImage",
            display_name="Load Image",
            category="image",
            inputs=[io.Combo.Input("image", options=cls.workspace.names())],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        info = super().GET_NODE_INFO_V1()
        info["input"]["required"]["image"][1]["image_upload"] = True  # the button that the editor adds to it
        return info

    @classmethod
    def validate_inputs(cls, image: str) -> bool | str:
        """Reads all of it, as a run does: no picture fails when the checkpoint is loaded."""
        try:
            picturefile.read(cls.workspace.find(str(image)))
        except InputError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        frames = picturefile.read(cls.workspace.find(image)).frames
        count, height, width = len(frames), frames[0].height, frames[0].width
        is_clear = any(frame.mode == "RGBA" for frame in frames)
        size = (height, width) if is_clear else (64, 64)  # 64 x 64: the editor's convention
        pixels = torch.empty(count, height, width, 3, dtype=torch.float32, device="cpu")
        mask = torch.zeros(count, *size, dtype=torch.float32, device="cpu")
        for i, frame in enumerate(frames):
            pixels[i] = _channels(frame.convert("RGB"))
            if frame.mode == "RGBA":
                mask[i] = 1 - _channels(frame.getchannel("A"))
        return io.NodeOutput(pixels, mask)


def _channels(picture: Image.Image) -> Tensor:
    """`h w c`, or `h w` of one channel, in 0..1."""
    values = np.array(picture, dtype=np.float32)
    values /= 255
    return torch.from_numpy(values)


@dataclass(frozen=True)
class Film:
    """What travels on a VIDEO wire."""

    frames: Tensor  # t h w c in 0..1
    fps: Fraction


class CreateVideo(HostNode):
    """Frames become a film. (The editor's node can also add sound; nothing here makes any.)"""

    NEUTRAL = {  # noqa: RUF012 (read only)
        "bit_depth": (8, "8", "auto"),
        "color_space": ("auto", "sRGB"),
        "codec": ("none", "auto"),
    }

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CreateVideo",
            display_name="Create Video",
            category="image/video",
            inputs=[
                io.Image.Input("images"),
                io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=1.0),
                io.Int.Input("bit_depth", default=8, min=8, max=10, step=2, optional=True),
            ],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, images: Tensor, fps: float) -> io.NodeOutput:
        return io.NodeOutput(Film(images, Fraction(round(fps * 1000), 1000)))


class Saver(HostNode):
    """What the nodes that write files share: the check of the file name."""

    @classmethod
    def validate_inputs(cls, filename_prefix: str) -> bool | str:
        return prefix_problem(str(filename_prefix), cls.workspace.output) or True


class SaveVideo(Saver):
    """Writes an MP4 with the workflow inside."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveVideo",
            display_name="Save Video",
            category="image/video",
            inputs=[
                io.Video.Input("video"),
                io.String.Input("filename_prefix", default="video/ComfyUI"),
                io.Combo.Input("format", options=list(CONTAINERS), default="auto"),
                io.Combo.Input("codec", options=list(CODECS), default="auto", optional=True),
            ],
            outputs=[io.Video.Output()],
            is_output_node=True,
        )

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        """As newer editors have it: the codec is inside the choice of format, and its encoding inside the codec."""
        info = super().GET_NODE_INFO_V1()
        info["input"]["required"]["format"] = _nested({name: _codec() for name in CONTAINERS})
        info["input"]["optional"] = _codec()
        return info

    @classmethod
    def execute(cls, video: Film, filename_prefix: str, format: str, **codec: str) -> io.NodeOutput:
        (name,) = cls.names(filename_prefix, ".mp4", video.frames)
        return _wrote([write_film(name, video.frames, video.fps, cls.workspace.metadata)], video)


CONTAINERS = ("auto", "mp4")
CODECS = ("auto", "h264")


def _codec() -> dict[str, Any]:
    encoding = {"encoding": _nested({"auto": {}})}
    return {"codec": _nested({name: {} if name == "auto" else encoding for name in CODECS})}


def _nested(choices: Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """A combo whose choices bring inputs of their own, as /object_info tells it."""
    return NESTED, {"options": [{"key": key, "inputs": {"required": inputs}} for key, inputs in choices.items()]}


class SaveAnimatedWEBP(Saver):
    """Writes an animated WEBP with the workflow inside."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveAnimatedWEBP",
            display_name="Save Animated WEBP",
            category="image/animation",
            inputs=[
                io.Image.Input("images"),
                io.String.Input("filename_prefix", default="ComfyUI"),
                io.Float.Input("fps", default=6.0, min=0.01, max=1000.0, step=0.01),
                io.Boolean.Input("lossless", default=True),
                io.Int.Input("quality", default=80, min=0, max=100),
                io.Combo.Input("method", options=list(WEBP_METHODS)),
            ],
            outputs=[io.Image.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, images: Tensor, filename_prefix: str, fps: float, lossless: bool, quality: int, method: str
    ) -> io.NodeOutput:
        (name,) = cls.names(filename_prefix, ".webp", images)
        settings: dict[str, Any] = {"lossless": lossless, "quality": quality, "method": method}
        return _wrote([write_film(name, images, fps, cls.workspace.metadata, **settings)], images)


class SaveImage(Saver):
    """Writes every frame as a PNG with the workflow inside."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveImage",
            display_name="Save Image",
            category="image",
            inputs=[io.Image.Input("images"), io.String.Input("filename_prefix", default="ComfyUI")],
            outputs=[io.Image.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images: Tensor, filename_prefix: str) -> io.NodeOutput:
        return cls.save_pngs(filename_prefix, images)


class PreviewImage(HostNode):
    """The editor shows these frames and throws them away later; with nothing to show them on, they go to `preview/`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PreviewImage",
            display_name="Preview Image",
            category="image",
            inputs=[io.Image.Input("images")],
            outputs=[io.Image.Output()],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images: Tensor) -> io.NodeOutput:
        return cls.save_pngs("preview/preview", images)


def _wrote(paths: list[Path], *results: Any) -> io.NodeOutput:
    return io.NodeOutput(*results, ui={"files": paths})
