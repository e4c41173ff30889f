"""The pictures that are sent: looked at before anything is asked for, and known by their bytes ever after."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ...svd import picturefile
from ...svd.errors import InputError

USUAL = {"JPEG": ".jpg", "MPO": ".jpg", "HEIF": ".heic"}  # the suffix, where Pillow's first is another


def slug(name: str) -> str:
    """A name that every file system and every address takes."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:60]


@dataclass(frozen=True)
class Picture:
    """A picture of the user's. `remote` is its name on the server, the same for the same bytes.

    suffix: what the server is to know its kind by, whatever the user's file is called.
    """

    path: Path
    sha256: str
    suffix: str

    @property
    def remote(self) -> str:
        return f"{slug(self.path.stem)}-{self.sha256[:12]}{self.suffix}"

    def read(self) -> bytes:
        """Its bytes, as they were when it was looked at. InputError if they are others now, or gone."""
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise InputError(f"The picture {self.path} cannot be read: {error.strerror}.") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise InputError(
                f"The picture {self.path} was changed after this queue began; "
                "put the old one back, or begin anew with another --output."
            )
        return data


def read_pictures(paths: Iterable[Path], known: Mapping[str, Picture]) -> list[Picture]:
    """Looks at every picture. InputError names the first that cannot be read, or was given twice.

    known: by path, those of an earlier run; one of them that is not here any more may not be needed any more.
    """
    pictures: list[Picture] = []
    for path in paths:
        picture = known[str(path)] if str(path) in known and not path.exists() else _looked_at(path)
        if twin := next((other for other in pictures if other.sha256 == picture.sha256), None):
            raise InputError(
                f"{twin.path} and {path} hold the same picture and would make the same clips; leave one out."
            )
        pictures.append(picture)
    return pictures


def _looked_at(path: Path) -> Picture:
    data = picturefile.read_bytes(path)
    kind = picturefile.decode(data, path.name).format
    return Picture(path, hashlib.sha256(data).hexdigest(), _suffix(path, kind))


def _suffix(path: Path, kind: str) -> str:
    """The user's own suffix where it is one of this kind, else the usual one."""
    known = Image.registered_extensions()
    own = path.suffix.lower()
    usual = USUAL.get(kind) or next((suffix for suffix, of in known.items() if of == kind), "")
    return own if known.get(own, own) == known.get(usual, usual) else usual
