"""The names that `films` had before: for what is not merged yet."""

from pathlib import Path

from torch import Tensor

from .encoders import WEBP_METHODS, Metadata
from .films import check_side, to_bytes, write_pngs
from .films import write_film as write_mp4
from .films import write_film as write_webp

__all__ = ["WEBP_METHODS", "Metadata", "check_side", "to_bytes", "write_mp4", "write_png", "write_webp"]


def write_png(path: Path, frame: Tensor, metadata: Metadata) -> Path:
    """Writes one frame, `h w c`."""
    return write_pngs([path], frame[None], metadata)[0]
