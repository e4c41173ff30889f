"""Whether a result is what its name says, from its first byte to its last."""

import io
import struct

from PIL import Image, UnidentifiedImageError

FILMS = (".mp4", ".mov", ".m4v", ".webp")
PICTURES = (".png", ".jpg", ".jpeg", ".gif")
ENDS = {"PNG": b"IEND\xaeB`\x82", "GIF": b"\0;"}  # which Pillow's readers do not miss; of a GIF they read a frame
SEARCHED = 64  # bytes at the end; some programs put something behind
PAGES = (b"<!doctype", b"<html")  # what stands in a file's place where a proxy asks for a login


def fault(data: bytes, suffix: str) -> str | None:
    """What is wrong with a file that is called so, in words that follow "is"; None if nothing is."""
    suffix = suffix.lower()
    if not data:
        return "empty"
    if is_page(data, suffix):
        return "a web page"
    if suffix in FILMS:
        return None if is_whole(data) else "no whole film"
    return "no whole picture" if suffix in PICTURES and not _is_whole_picture(data) else None


def is_page(data: bytes, suffix: str) -> bool:
    """Whether this is a web page under another name."""
    return suffix not in (".html", ".htm") and data[:200].lstrip().lower().startswith(PAGES)


def is_whole(data: bytes) -> bool:
    """Whether an MP4 or WEBP was written to its end."""
    if data[:4] == b"RIFF":
        return len(data) >= 12 and len(data) >= 8 + struct.unpack_from("<I", data, 4)[0]
    position, boxes = 0, set()
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if size == 1 and position + 16 <= len(data):  # a large box
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if size < 8:
            return False
        boxes.add(kind)
        position += size
    return position == len(data) and {b"ftyp", b"mdat", b"moov"} <= boxes


def _is_whole_picture(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            kind = image.format
    except Image.DecompressionBombError:  # large, but for all we can see a picture
        return True
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
        return False
    return ENDS.get(kind or "", b"") in data[-SEARCHED:]
