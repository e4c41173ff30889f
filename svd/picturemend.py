"""What may be faulty in a PNG or JPEG although its pixels are whole."""

import re
import struct
import zlib

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_PIXELS = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")  # what decides about pixels, beside the critical chunks
MOST_PROFILE = 1 << 24  # bytes of an ICC profile
JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # no RST, and nothing that stands for data
JPEG_END = b"\xff\xd9"
NOISES = (b"", b"\x5a\x3c\x96" * 32, b"\xa5\xc3\x69" * 32)


def png_pixels(data: bytes) -> tuple[bytes, bytes | None]:
    """A PNG without what does not belong to its pixels, and its ICC profile.

    Pillow refuses it for texts and profiles above 1 MB, and for a wrong checksum even of a text. Critical chunks stay
    as they are.
    """
    kept, profile, at = [PNG], None, len(PNG)
    while at + 8 <= len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        chunk, body = data[at : at + length + 12], data[at + 8 : at + 8 + length]
        at += length + 12
        if kind == b"iCCP":
            profile = _unpacked(body.partition(b"\0")[2][1:])
        elif kind in PNG_PIXELS:
            kept.append(chunk[: length + 8] + struct.pack(">I", zlib.crc32(kind + body)))
        elif kind[:1].isupper():
            kept.append(chunk)
    return b"".join(kept), profile


def _unpacked(data: bytes) -> bytes | None:
    try:
        return zlib.decompressobj().decompress(data, MOST_PROFILE)
    except zlib.error:
        return None


def jpeg_ends(data: bytes) -> list[bytes]:
    """A JPEG that lacks its end mark, with one, and also with other bytes before it.

    Where no pixel is missing, what follows the last of them decides nothing, and all are the same picture.
    """
    if data.endswith(b"\xff"):  # half the mark, or half of the two bytes that stand for this one
        data += b"\0"
    return [data + noise + JPEG_END for noise in NOISES]


def jpeg_scans(data: bytes) -> int:
    """How many scans a JPEG has up to its end mark, behind which there may be more pictures, or a film."""
    scans, at = 0, 2
    while (found := JPEG_MARKER.search(data, at)) and found[1] != b"\xd9":
        scans += found[1] == b"\xda"
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return scans
