"""Encoders: pixels in, a file out, with the workflow inside where the format has room for it.

Pixels are bytes, `t h w c`, c = 3, or 4 where the format keeps the alpha.
"""

import json
import math
from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..svd.errors import InputError

Metadata = Mapping[str, Any]  # "prompt": the API form that ran; "workflow": the editor form, when there is one
Pixels = NDArray[np.uint8]

DEEPEST = 200  # lists in lists; a workflow has ten
CONTAINER_FLAGS = {
    "mp4": {"movflags": "use_metadata_tags+faststart"},
    "mov": {"movflags": "use_metadata_tags+faststart"},
    "webm": {"fflags": "bitexact"},  # no random ids: the same frames make the same file
}
BT709 = 1  # the colour standard's number in H.264 and VP9, for matrix, primaries and transfer alike
WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}
EXIF_MODEL, EXIF_MAKE = 0x0110, 0x010F  # the fields in which the editor keeps prompt and workflow
GIF_FASTEST = 50  # frames per second; what is to be shown for less than 2 hundredths, browsers show for 10
SAMPLED = 2**20  # pixels of a clip from which a GIF's colours are chosen


# ---- metadata


def texts(metadata: Metadata) -> dict[str, str]:
    """Each entry as JSON that every reader takes: NaN and infinity become null, as JavaScript has it.

    Raises:
        InputError: it is nested too deep, or a number in it is too long to be written.
    """
    return {key: _text(key, value) for key, value in metadata.items()}


def _text(key: str, value: Any) -> str:
    try:
        return json.dumps(_finite(value, DEEPEST), allow_nan=False)
    except RecursionError:
        problem = f"is nested more than {DEEPEST} deep"
    except (ValueError, TypeError) as error:
        problem = f"cannot be written as JSON ({error})"
    raise InputError(f"The {key} to be kept in the file {problem}; simplify it.")


def _finite(value: Any, levels: int) -> Any:
    if not levels:
        raise RecursionError
    if isinstance(value, Mapping):
        return {key: _finite(inner, levels - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner, levels - 1) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _chunks(metadata: Metadata) -> PngInfo:
    chunks = PngInfo()
    for key, text in texts(metadata).items():
        chunks.add_text(key, text)
    return chunks


# ---- films


def encode_mp4(path: Path, pixels: Pixels, fps: Fraction, metadata: Metadata) -> None:
    """H.264 in yuv420p, which every player takes."""
    _encode(path, pixels, fps, metadata, "mp4", "h264", {})


def encode_mov(path: Path, pixels: Pixels, fps: Fraction, metadata: Metadata) -> None:
    """The same in QuickTime's container, which editing programs ask for."""
    _encode(path, pixels, fps, metadata, "mov", "h264", {})


def encode_webm(path: Path, pixels: Pixels, fps: Fraction, metadata: Metadata) -> None:
    """VP9 at a constant quality."""
    options = {"crf": "20", "b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
    _encode(path, pixels, fps, metadata, "webm", "vp9", options)


def _encode(
    path: Path, pixels: Pixels, fps: Fraction, metadata: Metadata, container: str, codec: str, options: dict[str, str]
) -> None:
    """yuv420p has colour for 2x2 pixels: an odd width or height gets one more column or row, a copy of the last.

    The colours are marked as BT.709: unmarked, players guess by the picture's size.
    """
    import av

    height, width = pixels.shape[1:3]
    pixels = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    try:
        with av.open(str(path), "w", format=container, options=CONTAINER_FLAGS[container]) as film:
            film.metadata.update(texts(metadata))
            stream = cast("av.VideoStream", film.add_stream(codec, rate=fps, options=options))
            stream.height, stream.width = pixels.shape[1:3]
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = BT709
            for array in pixels:
                frame = av.VideoFrame.from_ndarray(array, format="rgb24")
                film.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
            film.mux(stream.encode(None))
    except av.FFmpegError as error:
        if isinstance(error, OSError | MemoryError):
            raise
        raise InputError(
            f"The encoder refuses {width} x {height} at {float(fps):g} frames per second ({error.strerror}); "
            "save WEBP or PNG frames."
        ) from error


# ---- animated pictures


def durations(count: int, fps: Fraction, ticks: int) -> list[int]:
    """How long each frame is shown, in `ticks` of a second: no sum of them is more than half a tick off."""
    ends = [round(number * ticks / fps) for number in range(count + 1)]
    return [end - start for start, end in pairwise(ends)]


def encode_webp(
    path: Path,
    pixels: Pixels,
    fps: Fraction,
    metadata: Metadata,
    *,
    lossless: bool = False,
    quality: int = 90,
    method: str = "default",
) -> None:
    """An animated WEBP that plays in a browser, in a loop. It counts in milliseconds."""
    first, *rest = map(Image.fromarray, pixels)
    exif = first.getexif()
    told = texts(metadata)
    for key, field in (("prompt", EXIF_MODEL), ("workflow", EXIF_MAKE)):
        if key in told:
            exif[field] = f"{key}:{told[key]}"
    first.save(
        path,
        format="WEBP",
        save_all=True,
        append_images=rest,
        loop=0,
        duration=durations(len(pixels), fps, 1000),
        exif=exif,
        lossless=lossless,
        quality=quality,
        method=WEBP_METHODS[method],
    )


def encode_apng(path: Path, pixels: Pixels, fps: Fraction, metadata: Metadata) -> None:
    """An animated PNG, in a loop: lossless, and timed in fractions of a second, 1/7 say."""
    first, *rest = map(Image.fromarray, pixels)
    spans = [1000 / fps] * len(pixels)  # milliseconds, as fractions: Pillow writes them as such
    first.save(path, format="PNG", save_all=True, append_images=rest, loop=0, duration=spans, pnginfo=_chunks(metadata))


def encode_gif(path: Path, pixels: Pixels, fps: Fraction, metadata: Metadata) -> None:
    """A GIF, in a loop, in the 256 colours that suit the whole clip. It counts in hundredths of a second.

    Where there are more than 50 frames per second some are left out, for browsers play no faster; the clip takes its
    time all the same. The workflow is in the comment, as one JSON object.
    """
    shown, spans = gif_timing(len(pixels), fps)
    sample = pixels.reshape(-1, 1, 3)[:: -(-pixels.size // 3 // SAMPLED)]
    palette = Image.fromarray(sample).quantize(256, Image.Quantize.MEDIANCUT)
    first, *rest = (
        Image.fromarray(pixels[i]).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for i in shown
    )
    comment = {"comment": f"{{{', '.join(f'{json.dumps(k)}: {text}' for k, text in texts(metadata).items())}}}"}
    first.save(
        path,
        format="GIF",
        save_all=True,
        append_images=rest,
        loop=0,
        duration=[10 * span for span in spans],
        optimize=False,
        **(comment if metadata else {}),
    )


def gif_timing(count: int, fps: Fraction) -> tuple[list[int], list[int]]:
    """Which frames a GIF shows, and for how many hundredths of a second each."""
    if fps <= GIF_FASTEST:
        return list(range(count)), durations(count, fps, 100)
    total = max(1, round(count * 100 / fps))
    starts = range(0, max(1, total - 1), 2)
    ends = [*starts[1:], total]
    spans = [end - start for start, end in zip(starts, ends, strict=True)]
    return [int(start * fps / 100) for start in starts], spans


def encode_png(path: Path, pixels: Pixels, metadata: Metadata) -> None:
    """One frame, `h w c`."""
    Image.fromarray(pixels).save(path, format="PNG", pnginfo=_chunks(metadata), compress_level=4)
