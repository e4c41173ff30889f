"""Results that are whole or not there: written in a staging folder, then given the name asked for."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError
from .names import CLAIM, NEW, is_staging
from .rename import rename_new
from .replace import exchange_folder, refill_folder
from .staging import staging, sweep

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what a full disk is called


@contextmanager
def unfinished_file(path: Path) -> Iterator[Path]:
    """Yields an empty file elsewhere on the disk of `path`, to write to and then `publish`. It is gone in the end.

    It keeps the suffix, by which writers know their format.
    """
    with staging(path.parent) as folder:
        finished = folder / f"{NEW}{path.suffix}"
        os.close(os.open(finished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666))
        yield finished


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """As `unfinished_file`, for a folder, to `publish_folder`."""
    is_there = path.is_dir()
    if is_there:
        sweep(path)
    home = path.resolve() if is_there else path
    with staging(home if is_there and not _can_be_exchanged(home) else home.parent) as folder:
        (folder / NEW).mkdir()
        yield folder / NEW


def publish(finished: Path, path: Path, overwrite: bool = False) -> Path:
    """Gives a finished file or folder its name.

    Returns: `path`, or the next free number of it when something has that name: PREFIX_00002_.mp4 for
        PREFIX_00001_.mp4, and clip_00001_.mp4 for clip.mp4. Only a file is replaced, and only with `overwrite`.
    """
    while True:
        try:
            place(finished, path, overwrite)
            return path
        except OSError:
            if not os.path.lexists(path):
                raise
            path, overwrite = _next_name(path), False


def publish_folder(finished: Path, path: Path, overwrite: bool, ours: Callable[[Path], bool]) -> Path:
    """Gives a finished folder its name; one that is there gets the content.

    overwrite: entries of before that are `ours` are taken away, all others stay.
    Returns: `path`, or the name of a new folder in it or beside it, where something has come in the way.
    """
    try:
        place_folder(finished, path, overwrite, ours)
        return path
    except FileExistsError:
        pass
    if path.is_dir():
        with suppress(OSError):  # another disk
            return publish(finished, path / "frames")
    return publish(finished, path)


def place(finished: Path, path: Path, overwrite: bool = False) -> None:
    """As `publish`. OSError when something has that name: FileExistsError unless `overwrite`."""
    flush(finished)
    if overwrite:
        finished.replace(path)
    elif finished.is_dir():
        finished.rename(path)  # an empty folder is nothing
    else:
        _take_name(finished, path)


def place_folder(finished: Path, path: Path, overwrite: bool, ours: Callable[[Path], bool]) -> None:
    """As `publish_folder`. FileExistsError when something is in the way."""
    flush(finished)
    folder, target = finished.parent, path.resolve() if path.is_dir() else path
    if target.is_dir() and folder.parent.resolve() == target:
        refill_folder(folder, overwrite, ours)
        return
    if target.is_dir():
        shutil.copymode(target, finished)
    try:
        finished.rename(target)  # nothing has the name, or an empty folder has it
        return
    except OSError:
        if not os.path.lexists(target):
            raise
    if not target.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    if not exchange_folder(folder, target, overwrite, ours):
        with staging(target) as inside:
            shutil.move(finished, inside / NEW)
            try:
                refill_folder(inside, overwrite, ours)
            except FileExistsError:  # it came in the last moment
                shutil.move(inside / NEW, finished)
                raise


def require_writable(folder: Path) -> None:
    """Sweeps a folder, and sees to it that files can be made there, before hours of work go into one.

    Raises:
        InputError: they cannot.
    """
    sweep(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"Nothing can be written to {folder} ({reason(error)}); choose another folder.") from None


def flush(path: Path) -> None:
    """Has a file, or every file of a folder, on the disk before its name is: a power cut leaves no empty one."""
    for file in [path] if path.is_file() else [entry for entry in path.rglob("*") if entry.is_file()]:
        descriptor = os.open(file, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _can_be_exchanged(folder: Path) -> bool:
    """Whether a folder that is there may give its place to another one beside it.

    Not if somebody stands in it (for all we know, only we), if it is a disk or another user's, or if nothing can be
    made beside it.
    """
    try:
        is_mine = not hasattr(os, "geteuid") or folder.stat().st_uid == os.geteuid()
        is_stood_in = Path.cwd().is_relative_to(folder)
    except OSError:
        return False
    return is_mine and not is_stood_in and not os.path.ismount(folder) and os.access(folder.parent, os.W_OK | os.X_OK)


def _take_name(finished: Path, path: Path) -> None:
    """Gives a file a name that nothing has. FileExistsError if something has it."""
    try:
        os.link(finished, path)  # unlike a rename, it never replaces; the other name goes later
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        try:
            rename_new(finished, path)
        except FileExistsError:
            raise
        except OSError:
            _claim(finished, path)


def _claim(finished: Path, path: Path) -> None:
    """The same where the system has no word for it: an empty file holds the name. A note for `staging` says so."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    note = finished.with_name(CLAIM)
    if is_staging(finished.parent):
        note.write_text(f"{path.name}\n{finished.name}", encoding="utf-8")
    path.open("xb").close()
    finished.replace(path)
    note.unlink(missing_ok=True)


def _next_name(path: Path) -> Path:
    numbered = re.fullmatch(r"(.*_)(\d{5,})_", path.stem)
    start, number = (numbered[1], int(numbered[2])) if numbered else (f"{path.stem}_", 0)
    return path.with_name(f"{start}{number + 1:05}_{path.suffix}")


def reason(error: OSError) -> str:
    """The system's words for what went wrong with a file; a full disk in plainer ones."""
    if error.errno in FULL:
        return "the disk is full; free some space or choose another folder"
    return error.strerror or str(error)
