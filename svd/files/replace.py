"""A folder's content replaced as one.

Where the system can exchange two folders, that is one moment. Elsewhere the old entries go out and the new ones come
in, never mixed, and a journal in the staging folder says so: who comes upon it after a kill finishes what was begun.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .names import JOURNAL, NEW, OLD, is_plain, is_staging
from .rename import exchange


@dataclass(frozen=True)
class Journal:
    """What was begun."""

    into: str  # the folder: its name beside the staging folder, or "." for the one that this lies in
    old: list[str]  # entries that go
    new: list[str]  # entries that come
    inode: int  # of the staging folder's NEW: the folder has it when the two are exchanged

    @property
    def is_sound(self) -> bool:
        """Whether it leads nowhere else. (Folders come out of archives, too.)"""
        return (self.into == "." or is_plain(self.into)) and all(map(is_plain, self.old + self.new))


def replace_content(staging: Path, folder: Path, overwrite: bool, ours: Callable[[Path], bool]) -> bool:
    """Gives a folder the entries of `staging / NEW`, and takes away those of before that are `ours`.

    staging: in the folder, or beside it on the same disk.
    Returns: False, and nothing was done: there is something and `overwrite` is false, or an entry that is not ours has
        the name of a new one.
    """
    new = staging / NEW
    with _locked(folder):
        before = [path for path in folder.iterdir() if not is_staging(path)]
        old = [path.name for path in before if ours(path)]
        names = [path.name for path in new.iterdir()]
        if (before and not overwrite) or {path.name for path in before} - set(old) & set(names):
            return False
        into = "." if staging.parent.samefile(folder) else folder.name
        _write(staging, Journal(into, old, names, new.stat().st_ino))
        _supersede(staging, folder)
        if into != "." and len(list(folder.iterdir())) == len(old):  # else others would lose what they are at in there
            with suppress(OSError):  # a file system that cannot
                exchange(new, folder)
        _finish(staging, folder)
    return True


def _supersede(staging: Path, folder: Path) -> None:
    """Drops what dead processes, whose staging folders could not be swept, began here: it is not to come after ours."""
    for home in (folder, folder.parent):
        with suppress(OSError):
            for other in home.iterdir():
                if other != staging and is_staging(other) and _folder(other) == folder:
                    (other / JOURNAL).unlink()


def finish(staging: Path) -> None:
    """Finishes what a staging folder's journal says was begun, if it has one. OSError: it cannot be finished."""
    folder = _folder(staging)
    if folder is not None and folder.is_dir():
        with _locked(folder):
            _finish(staging, folder)


def _finish(staging: Path, folder: Path) -> None:
    """Goes on from wherever it was broken off."""
    journal = _read(staging)
    new, old = staging / NEW, staging / OLD
    if folder.stat().st_ino == journal.inode:  # exchanged: NEW holds what was there before
        for path in new.iterdir():
            if path.name not in journal.old:  # it came in the last moment, and is not ours
                path.rename(folder / path.name)
    else:
        old.mkdir(exist_ok=True)
        for name in journal.old:
            if name not in journal.new or os.path.lexists(new / name):  # else the new one is in its place already
                _move(folder / name, old / name)
        for name in journal.new:
            _move(new / name, folder / name)
    (staging / JOURNAL).unlink()


def _move(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):  # it was moved before the kill
        source.rename(target)


def _folder(staging: Path) -> Path | None:
    """The folder that a staging folder's journal is about; None if it has no journal."""
    try:
        journal = _read(staging)
        return staging.parent / journal.into if journal.is_sound else None
    except (OSError, ValueError, TypeError):
        return None


def _write(staging: Path, journal: Journal) -> None:
    draft = staging / f"{JOURNAL}.draft"
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(journal), file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(staging / JOURNAL)


def _read(staging: Path) -> Journal:
    return Journal(**json.loads((staging / JOURNAL).read_text(encoding="utf-8")))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time, where folders can be locked: Windows has no such thing, nor has every network."""
    descriptor = None
    try:
        while sys.platform != "win32":
            import fcntl

            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:
                break
            if os.path.samestat(os.fstat(descriptor), folder.stat()):
                break
            os.close(descriptor)  # it was exchanged while we waited
            descriptor = None
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
