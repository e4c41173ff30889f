"""Picture files: read whole, or refused in one sentence, whatever they hold.

A file is known by its content; its name says nothing. Who wants to check a picture reads it, so that none passes the
check and fails later. What is faulty around whole pixels (a text, a checksum, the end mark) is passed over.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from typing import IO

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from . import picturemend
from .errors import InputError
from .picturekinds import AVIF, HEIC, RAW, SAVE_AGAIN, SMALLER, is_avif, is_heic, kind_and_remedy
from .pixels import eight_bits, upright

FORMATS = (
    *(
        "PNG",
        "JPEG",
        "MPO",
        "WEBP",
        "GIF",
        "AVIF",
        "TIFF",
        "BMP",
        "JPEG2000",
        "PPM",
        "ICO",
        "ICNS",
        "PSD",
        "DDS",
        "QOI",
    ),
    *("PCX", "SGI", "TGA"),  # TGA the last: it has no mark of its own
)
"""Pillow's readers, without those that run programs (EPS), or that read nothing by themselves."""
ANIMATED = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")  # in other files, further pictures are previews, layers and maps
MOST_BYTES = 1 << 30  # of a file
MOST_PIXELS = 2**30 // 12  # of all pictures in a file: a gibibyte in fp32. Also where Pillow begins to warn
MOST_FRAMES = 4096
MOST_WORK = 1 << 30  # pixels of all frames of an animation that are looked at one by one: some ten seconds
MOST_SCANS = 50  # of a progressive JPEG: each is a walk over all pixels, and encoders make about ten
MOST_SLOW_PIXELS = 1 << 22  # for those of Pillow's decoders that are written in Python: a microsecond a pixel, or two
TIFF_SUBFILE, TIFF_SUB_IFDS = 254, 330


@dataclass(frozen=True)
class Pictures:
    """What a file holds: pictures of one size, RGB or RGBA, upright and in sRGB. format: as Pillow calls it."""

    format: str
    frames: list[Image.Image]


class Unreadable(Exception):
    """Why a file cannot be read as a picture, and what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


def read(path: Path, most: int | None = None) -> Pictures:
    """The pictures in a file, or the first `most` of them. InputError when it is missing, no picture, or damaged."""
    return decode(read_bytes(path), path.name, most)


def read_bytes(path: Path) -> bytes:
    """A picture file's bytes. InputError where there is no file that could be one."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder: give a picture in it.")
        if not path.exists():
            raise InputError(f"There is no picture at {path}: check the path.")
        if not path.is_file():  # it would be waited for, perhaps for ever
            raise InputError(f"{path} is a pipe or a device: save the picture to a file first.")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise InputError(f"{path} has {size / 2**30:.1f} GiB, which is too large for a picture: {SMALLER}.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"The picture {path} cannot be read: {error.strerror or error}.") from error


def decode(data: bytes, name: str, most: int | None = None) -> Pictures:
    """As `read`, from a file's bytes. name: what a sentence calls it."""
    with _sentences(data, name):
        picture, profile = _loaded_or_mended(data)
        frames = [eight_bits(upright(frame), profile) for frame in islice(_frames(picture, MOST_PIXELS), most)]
        return Pictures(picture.format or "", frames)


def walk(path: Path) -> Iterator[Image.Image]:
    """The frames of an animated picture, as `read` gives them but RGB, without holding all of them."""
    data = read_bytes(path)
    with _sentences(data, str(path), "clip", "give a whole .mp4 or .webp"):
        picture, profile = _loaded_or_mended(data)
        for frame in _frames(picture, MOST_WORK):
            yield eight_bits(upright(frame), profile).convert("RGB")


def describe(path: Path) -> str | None:
    """ "a picture (PNG, 40 x 30)", from its header alone; None for what is no picture."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file, _silent():
            if is_heic(file.read(256)):
                return "a picture (HEIC)"
            picture = Image.open(file, formats=_formats())
            return f"a picture ({picture.format}, {picture.width} x {picture.height})"
    except Exception:  # Pillow's readers raise many kinds
        return None


@contextmanager
def _sentences(data: bytes, name: str, kind: str = "picture", usual: str = SAVE_AGAIN) -> Iterator[None]:
    """Turns whatever a reader raises into an InputError. usual: what to do with a damaged file."""
    try:
        with _silent():
            yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} has too many pixels to open safely: {SMALLER}.") from error
    except MemoryError as error:
        raise InputError(f"There is not enough memory to open {name}: {SMALLER}.") from error
    except Exception as error:
        reason, remedy = _reason(error, data, usual)
        raise InputError(f"{name} cannot be read as a {kind} ({reason}): {remedy}.") from error


def _reason(error: Exception, data: bytes, usual: str) -> tuple[str, str]:
    """Why, and what to do. Pillow's readers raise many kinds of errors on a damaged file."""
    if isinstance(error, Unreadable):
        return error.reason, error.remedy
    if is_avif(data) and "AVIF" not in Image.SAVE:
        return AVIF
    if isinstance(error, UnidentifiedImageError):
        return kind_and_remedy(data)
    words = " ".join(str(error).split())
    return words if words.isprintable() and 0 < len(words) <= 100 else "it is damaged", usual


@contextmanager
def _silent() -> Iterator[None]:
    """Without Pillow's warnings: what they warn of is read or refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@cache
def _formats() -> tuple[str, ...]:
    """Those that this Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _loaded_or_mended(data: bytes) -> tuple[Image.Image, bytes | None]:
    """The first picture, its pixels loaded, and its ICC profile."""
    try:
        picture = _loaded(data)
    except (Unreadable, MemoryError, Image.DecompressionBombError):
        raise
    except Exception:
        if data.startswith(picturemend.PNG):
            pixels, profile = picturemend.png_pixels(data)
            return _loaded(pixels), profile
        if not data.startswith(picturemend.JPEG):
            raise
        picture, *others = map(_loaded, picturemend.jpeg_ends(data))
        if any(other.tobytes() != picture.tobytes() for other in others):  # some pixels are missing
            raise
    return picture, picture.info.get("icc_profile")


def _loaded(data: bytes) -> Image.Image:
    picture = _opened(BytesIO(data), data)
    _check(picture, data)
    picture.load()
    return picture


def _opened(file: IO[bytes], data: bytes) -> Image.Image:
    if not is_heic(data):
        return Image.open(file, formats=_formats())
    try:
        pillow_heif = import_module("pillow_heif")
    except ImportError:
        raise Unreadable(*HEIC) from None
    picture: Image.Image = pillow_heif.HeifImageFile(file)
    return picture


def _check(picture: Image.Image, data: bytes) -> None:
    """Refuses what would take too much memory or time to load."""
    pixels = picture.width * picture.height
    if picture.format in ("JPEG", "MPO"):
        if picturemend.jpeg_scans(data) > MOST_SCANS:
            raise Unreadable("it has too many scans", SAVE_AGAIN)
        if pixels > MOST_PIXELS:  # and at most twice that, or Pillow had refused it: read it at half its size
            picture.draft(None, (picture.width // 2, picture.height // 2))
            pixels = picture.width * picture.height
    if pixels > MOST_PIXELS:
        raise Image.DecompressionBombError
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        tags = picture.tag_v2
        if data[8:10] == b"CR" or (tags.get(TIFF_SUBFILE) == 1 and TIFF_SUB_IFDS in tags):
            raise Unreadable(*RAW)  # its first picture is a small preview
    if pixels > MOST_SLOW_PIXELS and any(tile[0] in Image.DECODERS for tile in getattr(picture, "tile", ())):
        raise Unreadable(f"{picture.format} of {picture.width} x {picture.height} takes too long", SAVE_AGAIN)


def _frames(picture: Image.Image, most_pixels: int) -> Iterator[Image.Image]:
    """The pictures of the first one's size, one after the other in the same object."""
    size, pixels = picture.size, 0
    for index in count():
        if index:
            if picture.format not in ANIMATED:
                return
            try:
                picture.seek(index)
            except EOFError:
                return
        if index == MOST_FRAMES or pixels > most_pixels - size[0] * size[1]:
            raise Unreadable("it holds more pictures than fit into memory", "give one of them")
        if picture.size == size:
            pixels += size[0] * size[1]
            yield picture
