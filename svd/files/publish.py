"""Results that are whole or not there: written under a name of their own, then given the one asked for."""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unfinished_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path`, to write to and then `publish`. Interrupted or failed: it is deleted.

    The temporary name keeps the suffix, by which writers know their format.
    """
    handle, name = tempfile.mkstemp(prefix=".", suffix=f".part{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(0o666 & ~_umask())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """As `unfinished_file`, for a folder: beside `path`, or inside it when it is there, to `publish_into`."""
    temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=path if path.is_dir() else path.parent))
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish(finished: Path, path: Path, overwrite: bool = False) -> Path:
    """Gives a finished file or folder its name.

    Returns: `path`, or the next free number of it when something has that name: PREFIX_00002_.mp4 for
        PREFIX_00001_.mp4, and clip_00001_.mp4 for clip.mp4. Only a file is replaced, and only with `overwrite`.
    """
    while True:
        try:
            if overwrite:
                finished.replace(path)
            else:
                _take_name(finished, path)
            return path
        except OSError:
            if not os.path.lexists(path):
                raise
            path, overwrite = _next_name(path), False


def publish_into(folder: Path, finished: Path, overwrite: bool = False) -> Path:
    """Gives a finished folder the name `folder`, or moves its files there if it was made inside.

    A folder that is there stays what it is, so that it may be ".", a link or a disk. If it holds something by now,
    it gets the finished folder as a new one inside; with `overwrite`, it gets the files and loses older ones of
    the same kind.
    Returns: where the files are.
    """
    if finished.parent.resolve() != folder.resolve():
        return publish(finished, folder)
    older = set(folder.iterdir()) - {folder / finished.name}
    if older and not overwrite:
        return publish(finished, folder / "frames")
    new = {publish(file, folder / file.name, overwrite) for file in sorted(finished.iterdir())}
    for file in older - new:
        if is_frame(file):
            file.unlink()
    return folder


def is_frame(path: Path) -> bool:
    """Whether this is one of the frames that `svd-nodes generate` writes."""
    return path.is_file() and path.match("frame_[0-9][0-9][0-9][0-9][0-9].png")


def _take_name(finished: Path, path: Path) -> None:
    """Gives `finished` a name that nothing has (an empty folder is nothing). OSError if something has it."""
    if finished.is_dir():
        finished.rename(path)
        return
    try:
        os.link(finished, path)  # unlike a rename, it never replaces; the temporary name goes later
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        path.open("xb").close()
        finished.replace(path)


def _next_name(path: Path) -> Path:
    numbered = re.fullmatch(r"(.*_)(\d{5,})_", path.stem)
    start, number = (numbered[1], int(numbered[2])) if numbered else (f"{path.stem}_", 0)
    return path.with_name(f"{start}{number + 1:05}_{path.suffix}")


def _umask() -> int:
    """The permissions that new files do not get. (They can only be read by setting them.)"""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def reason(error: OSError) -> str:
    """The system's words for what went wrong with a file; a full disk in plainer ones."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full; free some space or choose another folder"
    return error.strerror or str(error)
