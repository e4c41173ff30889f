"""Whether a result is whole, and what kind of file it is, by what is in it, whatever the server calls it."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO
from warnings import catch_warnings

from PIL import Image

PART = ".svd-queue-{}.part"  # what a file is called until it is whole
ENDS = {".png": b"IEND\xaeB`\x82", ".gif": b"\0;"}  # which Pillow's readers do not miss; of a GIF they read a frame
SEARCHED = 64  # bytes at the end; some programs put something behind
LARGEST = 64_000_000  # pixels of a picture that is read to its end; of larger ones the ends are looked at
MOST_BOXES = 100_000  # of an MP4
PAGES = (b"<!doctype", b"<html", b"<head", b"<body")  # what a proxy that asks for a login puts in a file's place
HEAD = 512

# What files begin with, and the endings they may have here: the first, unless the server's is another of them.
BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", (".png", ".apng")),
    (b"\xff\xd8\xff", (".jpg", ".jpeg")),
    (b"GIF8", (".gif",)),
    (b"\x1aE\xdf\xa3", (".webm", ".mkv")),
    (b"fLaC", (".flac",)),
    (b"OggS", (".ogg", ".opus", ".oga", ".ogv")),
    (b"ID3", (".mp3",)),
    (b"\xff\xfb", (".mp3",)),
    (b"II*\0", (".tif", ".tiff")),
    (b"MM\0*", (".tif", ".tiff")),
    (b"v/1\x01", (".exr",)),
    (b"glTF", (".glb",)),
    (b"\x93NUMPY", (".npy",)),
)
IN_RIFF = {b"WEBP": ".webp", b"AVI ": ".avi", b"WAVE": ".wav"}
IN_FTYP = {b"qt  ": ".mov", b"avif": ".avif", b"avis": ".avif", b"heic": ".heic", b"mif1": ".heic", b"M4A ": ".m4a"}
BOXED = (".mp4", ".m4v", ".mov")
FILMS = (*BOXED, ".webp", ".webm", ".mkv", ".avi")
PICTURES = (".png", ".apng", ".jpg", ".jpeg", ".gif")
HARMLESS = (
    *(".txt", ".json", ".csv", ".srt", ".vtt", ".latent", ".safetensors", ".ply", ".obj", ".stl", ".bin"),
    *(".mp3", ".aac", ".wav", ".flac", ".ogg", ".opus"),
)  # endings that a file of another content keeps: nothing is run by them
UNKNOWN = ".bin"


@contextmanager
def part(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file of a name that nobody can foresee, to be written and then renamed. Else it goes again."""
    path = folder / PART.format(token_hex(8))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(path, flags, 0o666), "r+b") as file:
            yield path, file
    finally:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Takes away what a client that was killed has left half-written; for one that has the folder to itself."""
    with suppress(OSError):
        for path in folder.glob(PART.format("?" * 16)):
            if path.is_file() and not path.is_symlink():
                path.unlink()


def ending(path: Path, told: str) -> str:
    """The ending for a file, by its content; `told` is the server's."""
    told = told.lower()
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head[:4] == b"RIFF" and head[8:12] in IN_RIFF:
        return IN_RIFF[head[8:12]]
    if head[4:8] == b"ftyp":
        kind = IN_FTYP.get(head[8:12], ".mp4")
        return told if (kind, told) == (".mp4", ".m4v") else kind
    for beginning, endings in BEGINNINGS:
        if head.startswith(beginning):
            return told if told in endings else endings[0]
    return told if told in HARMLESS else UNKNOWN


def fault(path: Path, told: str) -> str | None:
    """What is wrong with a file that the server calls so, in words that follow "is"; None if nothing is."""
    told = told.lower()
    if path.stat().st_size == 0:
        return "empty"
    if is_page(path):
        return "a web page"
    kind = ending(path, told)
    if kind in (*BOXED, ".webp"):
        return None if is_whole(path) else "no whole film"
    if kind in PICTURES:
        return None if _is_whole_picture(path, kind) else "no whole picture"
    if kind == UNKNOWN and told in (*FILMS, *PICTURES):
        return f"no whole {'film' if told in FILMS else 'picture'}"
    return None


def is_page(path: Path) -> bool:
    """Whether this is a web page under another name."""
    with path.open("rb") as file:
        return file.read(HEAD).removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(PAGES)


def is_whole(path: Path) -> bool:
    """Whether an MP4 or WEBP was written to its end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            return size >= 12 and size >= 8 + int(struct.unpack_from("<I", head, 4)[0])
        boxes, position = set(), 0
        for length, kind in _boxes(file):
            boxes.add(kind)
            position += length
    return position == size and {b"ftyp", b"mdat", b"moov"} <= boxes


def _boxes(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Length and kind of each part of an MP4, as far as there are any that can be."""
    position = 0
    for _ in range(MOST_BOXES):
        file.seek(position)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        if size == 1 and len(head) == 16:  # a large box
            (size,) = struct.unpack_from(">Q", head, 8)
        if size < 8 or size > 1 << 60:
            return
        yield size, kind
        position += size


def _is_whole_picture(path: Path, kind: str) -> bool:
    """One that is too large to be looked at whole is one, for all we can see."""
    formats = ["JPEG", "MPO"] if kind in (".jpg", ".jpeg") else ["GIF" if kind == ".gif" else "PNG"]
    try:
        with catch_warnings(action="ignore"), Image.open(path, formats=formats) as image:
            if image.width * image.height <= LARGEST:
                image.load()
    except Image.DecompressionBombError:
        pass
    except Exception:  # Pillow's readers raise whatever a damaged file brings them to
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - SEARCHED))
        return ENDS.get(".png" if kind == ".apng" else kind, b"") in file.read()
