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

from ..svd.errors import InputError, NonFiniteError
from .files import publish, unfinished_file

Metadata = Mapping[str, Any]  # "prompt": the API form that ran; "workflow": the editor form, when there is one

BT709 = 1  # the colour standard's number in H.264, for matrix, primaries and transfer alike
LARGEST = {".mp4": 16384, ".webp": 16383}  # pixels of a side: what H.264's encoder and the format can do
WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}
EXIF_MODEL, EXIF_MAKE = 0x0110, 0x010F  # the fields in which the editor keeps prompt and workflow


def check_side(suffix: str, width: int, height: int) -> None:
    """InputError when a format has no room for this size."""
    largest = LARGEST.get(suffix.lower())
    if largest and max(width, height) > largest:
        raise InputError(
            f"A {suffix} film can be {largest} pixels wide and high, and this one is {width} x {height}; "
            "make it smaller or save PNG frames."
        )


def to_bytes(frames: Tensor) -> NDArray[np.uint8]:
    """`t h w c` in 0..1 as bytes.

    Raises:
        NonFiniteError: a frame holds NaN or infinity.
    """
    if not frames.isfinite().all():
        raise NonFiniteError("The frames hold NaN or infinity and were not saved; try the precision fp32.")
    return (frames.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()


def write_mp4(path: Path, frames: Tensor, fps: Fraction, metadata: Metadata, overwrite: bool = False) -> Path:
    """Writes H.264 in yuv420p, which every player takes, and returns where it is (see `publish`).

    The format stores colour for 2x2 pixels, so an odd width or height gets one more column or row, a copy of the last.
    The colours are marked as BT.709: unmarked, players guess by the picture's size.
    """
    import av

    pixels = to_bytes(frames[..., :3])
    height, width = pixels.shape[1:3]
    check_side(".mp4", width, height)
    pixels = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with unfinished_file(path) as part:
        try:
            _encode(part, pixels, fps, metadata)
        except av.FFmpegError as error:
            if isinstance(error, OSError | MemoryError):
                raise
            raise InputError(
                f"The encoder refuses {width} x {height} at {fps} frames per second ({error.strerror}); "
                "save WEBP or PNG frames."
            ) from error
        return publish(part, path, overwrite)


def _encode(path: Path, pixels: NDArray[np.uint8], fps: Fraction, metadata: Metadata) -> None:
    """`t h w 3` with even sides -> an MP4."""
    import av

    with av.open(str(path), "w", options={"movflags": "use_metadata_tags+faststart"}) as film:
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
    path: Path,
    frames: Tensor,
    fps: float,
    metadata: Metadata,
    *,
    lossless: bool,
    quality: int,
    method: str = "default",
    overwrite: bool = False,
) -> Path:
    """Writes an animated WEBP that plays in a browser, in a loop, and returns where it is."""
    first, *rest = (Image.fromarray(array) for array in to_bytes(frames))
    check_side(".webp", *first.size)
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
    with unfinished_file(path) as part:
        first.save(part, save_all=True, append_images=rest, loop=0, exif=exif, **settings)
        return publish(part, path, overwrite)


def write_png(path: Path, frame: Tensor, metadata: Metadata) -> Path:
    """Writes one frame, `h w c`, and returns where it is."""
    chunks = PngInfo()
    for key, value in metadata.items():
        chunks.add_text(key, json.dumps(value))
    with unfinished_file(path) as part:
        Image.fromarray(to_bytes(frame[None])[0]).save(part, pnginfo=chunks, compress_level=4)
        return publish(part, path)
