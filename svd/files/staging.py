"""Folders for unfinished work, beside where it goes: private, locked by the process at work, swept when that is dead.

A kill leaves such a folder behind. It blocks nobody, and whoever works there next takes it away, having finished what
its journal says was begun (`replace`). A living neighbour's is left alone: its lock is held.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .names import CLAIM, LOCK, PREFIX, SUFFIX, is_plain, is_staging
from .replace import finish

FORGOTTEN = 24 * 3600  # seconds without a change, after which one that cannot be locked counts as a dead process's
FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)


@contextmanager
def staging(home: Path) -> Iterator[Path]:
    """Yields a new folder in `home` that no other user can look into. In the end it is gone, whatever happened.

    Raises:
        OSError: there can be none, or what was begun in it cannot be finished; then it is kept.
    """
    sweep(home)
    folder, lock = _new(home)
    try:
        yield folder
    finally:
        try:
            _end(folder)
        except KeyboardInterrupt:  # it came while we cleaned up
            _end(folder)
            raise
        finally:
            os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def sweep(home: Path) -> None:
    """Takes away what dead processes of ours have left in a folder. What cannot be taken away stays."""
    with suppress(OSError):
        for path in list(home.iterdir()):
            if is_staging(path) and _is_mine(path):
                with suppress(OSError):
                    _sweep(path)


def _new(home: Path) -> tuple[Path, int]:
    """A folder, and its lock's descriptor. A sweeper that comes between the two takes it for a dead one's."""
    while True:
        folder = Path(tempfile.mkdtemp(SUFFIX, PREFIX, home))  # mode 700, and a name that cannot be guessed
        try:
            lock = os.open(folder / LOCK, FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        except FileNotFoundError:
            continue
        except OSError:
            folder.rmdir()
            raise
        if _take(lock) is not False and (folder / LOCK).exists():
            return folder, lock
        os.close(lock)


def _sweep(folder: Path) -> None:
    try:
        lock = os.open(folder / LOCK, FLAGS)
    except FileNotFoundError:
        folder.rmdir()  # it was to become one: its maker died, or will see that it is gone
        return
    try:
        taken = _take(lock)
        if taken is False or (taken is None and not _is_forgotten(folder)):
            return
        _end(folder)
    finally:
        os.close(lock)
    shutil.rmtree(folder, ignore_errors=True)


def _end(folder: Path) -> None:
    """Finishes what was begun and takes away all but the lock: without one, what is left would be nobody's."""
    finish(folder)
    _release_claim(folder)
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _release_claim(folder: Path) -> None:
    """Takes away the empty file that held a name free, where the kill came before the finished one took its place."""
    with suppress(OSError, ValueError):
        name, finished = (folder / CLAIM).read_text(encoding="utf-8").split("\n")
        target = folder.parent / name
        if is_plain(name) and is_plain(finished) and (folder / finished).exists() and not target.lstat().st_size:
            target.unlink()


def _take(lock: int) -> bool | None:
    """True: the lock is ours until we close it or die. False: it is another's. None: nothing can be locked here."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _is_mine(folder: Path) -> bool:
    """Whether it was made by this user: another's journal is not obeyed."""
    return sys.platform == "win32" or folder.lstat().st_uid == os.geteuid()


def _is_forgotten(folder: Path) -> bool:
    newest = max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))
    return time.time() - newest > FORGOTTEN
