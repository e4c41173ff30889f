"""What a pipeline call gives back: the frames in one of diffusers' forms."""

from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from .image import to_pil

Frames = list[list[Image.Image]] | np.ndarray | Tensor


class StableVideoDiffusionPipelineOutput(dict[str, Any]):
    """`frames`, `["frames"]` or `[0]`: lists of lists of pictures (pil), an array b t h w c (np), a tensor b t c h w
    (others). A dict with attributes, as diffusers' is."""

    def __init__(self, frames: Frames) -> None:
        super().__init__(frames=frames)

    @property
    def frames(self) -> Any:
        return self["frames"]

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """(frames,)"""
        return tuple(self.values())


def as_output(images: Tensor, output_type: str) -> Frames:
    """(b t 3 H W) in 0..1 as pil, np or pt."""
    if output_type == "pt":
        return images
    if output_type == "np":
        return images.movedim(2, -1).cpu().numpy()
    return [to_pil(clip) for clip in images]
