"""A folder's content replaced as one.

Where the system can exchange two folders, that is one moment. Elsewhere the old entries go out and the new ones come
in, never mixed, and a journal in the staging folder says so: who comes upon it after a kill finishes what was begun.
"""

import errno
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


def exchange_folder(staging: Path, folder: Path, overwrite: bool, ours: Callable[[Path], bool]) -> bool:
    """Has `staging / NEW` and a folder beside the staging folder change places.

    Returns: False, and nothing was done: the system cannot, or others have something in the folder.
    Raises:
        FileExistsError: as `_journal` says.
    """
    with _locked(folder):
        journal = _journal(folder.name, staging, folder, overwrite, ours)
        if len(list(folder.iterdir())) > len(journal.old):
            return False
        _write(staging, journal)
        try:
            exchange(staging / NEW, folder)
        except OSError:
            (staging / JOURNAL).unlink()
            return False
        _finish(staging, folder)
    return True


def refill_folder(staging: Path, overwrite: bool, ours: Callable[[Path], bool]) -> None:
    """Moves the entries of `staging / NEW` into the folder that the staging folder lies in.

    Raises:
        FileExistsError: as `_journal` says.
    """
    folder = staging.parent
    with _locked(folder):
        journal = _journal(".", staging, folder, overwrite, ours)
        with suppress(OSError):  # what dead processes began here, and could not be swept, is not to come after ours
            for other in filter(is_staging, folder.iterdir()):
                (other / JOURNAL).unlink(missing_ok=True)
        _write(staging, journal)
        _finish(staging, folder)


def _journal(into: str, staging: Path, folder: Path, overwrite: bool, ours: Callable[[Path], bool]) -> Journal:
    """FileExistsError if there is something and `overwrite` is false, or if what is not ours has a new entry's name."""
    before = [path for path in folder.iterdir() if not is_staging(path)]
    old = [path.name for path in before if ours(path)]
    new = [path.name for path in (staging / NEW).iterdir()]
    if (before and not overwrite) or {path.name for path in before} - set(old) & set(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), folder)
    return Journal(into, old, new, (staging / NEW).stat().st_ino)


def finish(staging: Path) -> None:
    """Finishes what a staging folder's journal says was begun, if it has one. OSError: it cannot be finished."""
    try:
        journal = _read(staging)
        folder = staging.parent / journal.into
        if not journal.is_sound or not folder.is_dir():
            return
    except (OSError, ValueError, TypeError):  # no journal, or nobody's
        return
    with _locked(folder):
        _finish(staging, folder)


def _finish(staging: Path, folder: Path) -> None:
    """Goes on from wherever it was broken off."""
    journal = _read(staging)
    new, old = staging / NEW, staging / OLD
    if journal.into == ".":
        old.mkdir(exist_ok=True)
        for name in journal.old:
            if name not in journal.new or os.path.lexists(new / name):  # else the new one is in its place already
                _move(folder / name, old / name)
        for name in journal.new:
            _move(new / name, folder / name)
    elif folder.stat().st_ino == journal.inode:  # NEW holds what was there before
        for path in new.iterdir():
            if path.name not in journal.old:  # it came in the last moment, and is not ours
                path.rename(folder / path.name)
    (staging / JOURNAL).unlink()


def _move(source: Path, target: Path) -> None:
    with suppress(FileNotFoundError):  # it was moved before the kill
        source.rename(target)


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
