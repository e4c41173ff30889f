"""The workflow that a film or a picture brings along, as the editor and `svd-nodes` write it inside."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..svd.errors import InputError

KEYS = ("prompt", "workflow")  # what ran first: it needs no converting


def is_media(head: bytes) -> bool:
    """Whether a file that begins so is a film or a picture."""
    starts = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1aE\xdf\xa3", b"II*\0", b"MM\0*", b"BM")
    return head.startswith(starts) or head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"AVI "))


def embedded(path: Path) -> str:
    """The text of the workflow inside.

    Raises:
        InputError: there is none, or the file is damaged before it.
    """
    texts: dict[str, str] = {}
    for reader in (_from_picture, _from_film):
        with contextlib.suppress(Exception):  # Pillow and FFmpeg raise many kinds on a damaged or another's file
            for key, text in reader(path):
                texts.setdefault(key, text)
    for key in KEYS:
        if key in texts:
            return texts[key]
    raise InputError(f"{path} brings no workflow along; give the .json file, or a film or picture as it was made.")


def _from_picture(path: Path) -> Iterator[tuple[str, str]]:
    """PNG keeps texts by name; WEBP and AVIF in Exif fields of other meanings, as "workflow:{...}"."""
    from PIL import Image

    with Image.open(path) as picture:
        for key in KEYS:
            if isinstance(text := picture.info.get(key), str):
                yield key, text
        for value in picture.getexif().values():
            key, colon, text = value.partition(":") if isinstance(value, str) else ("", "", "")
            if colon and key.lower() in KEYS:
                yield key.lower(), text


def _from_film(path: Path) -> Iterator[tuple[str, str]]:
    import av

    with av.open(str(path)) as film:
        for key, text in film.metadata.items():
            if key.lower() in KEYS:  # Matroska writes names in capitals
                yield key.lower(), text
