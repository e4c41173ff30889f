"""Frames in, files out: MP4, animated WEBP and PNG, with the workflow inside where the format has room for it.

Frames are `t h w c` in 0..1, c = 3 (or 4; films drop the alpha). They are rounded to 8 bits, where the editor cuts off.
"""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ..svd.errors import NonFiniteError
from .files import whole_file

Metadata = Mapping[str, Any]  # "prompt": the API form that ran; "workflow": the editor form, when there is one

BT709 = 1  # the colour standard's number in H.264, for matrix, primaries and transfer alike
WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}
EXIF_MODEL, EXIF_MAKE = 0x0110, 0x010F  # the fields in which the editor keeps prompt and workflow


def to_bytes(frames: Tensor) -> NDArray[np.uint8]:
    """`t h w c` in 0..1 as bytes.

    Raises:
        NonFiniteError: a frame holds NaN or infinity.
    """
    if not frames.isfinite().all():
        raise NonFiniteError("The frames hold NaN or infinity and were not saved; try the precision fp32.")
    return (frames.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()


def write_mp4(path: Path, frames: Tensor, fps: Fraction, metadata: Metadata) -> None:
    """Writes H.264 in yuv420p, which every player takes.

    The format stores colour for 2x2 pixels, so an odd width or height gets one more column or row, a copy of the last.
    The colours are marked as BT.709: unmarked, players guess by the picture's size.
    """
    import av

    pixels = to_bytes(frames[..., :3])
    height, width = pixels.shape[1:3]
    pixels = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with whole_file(path) as part, av.open(str(part), "w", options={"movflags": "use_metadata_tags+faststart"}) as film:
        film.metadata.update({key: json.dumps(value) for key, value in metadata.items()})
        stream = film.add_stream("h264", rate=fps)
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        for array in pixels:
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            film.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        film.mux(stream.encode(None))


def write_webp(
    path: Path, frames: Tensor, fps: float, metadata: Metadata, *, lossless: bool, quality: int, method: str = "default"
) -> None:
    """Writes an animated WEBP that plays in a browser, in a loop."""
    first, *rest = (Image.fromarray(array) for array in to_bytes(frames))
    exif = first.getexif()
    for key, field in (("prompt", EXIF_MODEL), ("workflow", EXIF_MAKE)):
        if key in metadata:
            exif[field] = f"{key}:{json.dumps(metadata[key])}"
    settings: dict[str, Any] = {
        "duration": int(1000 / fps),
        "lossless": lossless,
        "quality": quality,
        "method": WEBP_METHODS[method],
    }
    with whole_file(path) as part:
        first.save(part, save_all=True, append_images=rest, loop=0, exif=exif, **settings)


def write_png(path: Path, frame: Tensor, metadata: Metadata) -> None:
    """Writes one frame, `h w c`."""
    chunks = PngInfo()
    for key, value in metadata.items():
        chunks.add_text(key, json.dumps(value))
    with whole_file(path) as part:
        Image.fromarray(to_bytes(frame[None])[0]).save(part, pnginfo=chunks, compress_level=4)
