"""Where results go: names that are never taken twice, and files that are whole or not there."""

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath

from ..svd.errors import InputError


def prepare_folder(folder: Path) -> Path:
    """Makes the output folder and makes sure that it can be written to, before hours of work go into it.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"Nothing can be written to {folder} ({reason(error)}); choose another folder.") from None
    return folder.resolve()


def prefix_problem(prefix: str) -> str | None:
    """One sentence when a file name prefix would lead out of the output folder or name no file."""
    path = PurePosixPath(prefix.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or PurePath(prefix).drive:
        return f'The name "{prefix}" leads out of the output folder; use a name without "..", a drive or a leading "/".'
    if not path.name or prefix.endswith("/") or "\0" in prefix:
        return f'The name "{prefix}" names no file; end it with a name, such as "video/clip".'
    return None


def free_names(folder: Path, prefix: str, suffix: str, count: int, width: int, height: int) -> list[Path]:
    """The next names of the editor's kind: PREFIX_00001_.mp4, PREFIX_00002_.mp4, ... counting on from what is there.

    Args:
        prefix: may hold a folder ("video/clip") and the editor's %width% %height% %year% %month% %day% %hour%
            %minute% %second%.
    Raises:
        InputError: the name leads out of `folder` (also through a link inside it).
    """
    moment = time.strftime("%Y %m %d %H %M %S").split()
    words = zip(("year", "month", "day", "hour", "minute", "second"), moment, strict=True)
    for word, value in (("width", str(width)), ("height", str(height)), *words):
        prefix = prefix.replace(f"%{word}%", value)
    if sentence := prefix_problem(prefix):
        raise InputError(sentence)
    target = folder / prefix.replace("\\", "/")
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise InputError(f'The name "{prefix}" leads out of the output folder through a link; use another name.')
    target.parent.mkdir(parents=True, exist_ok=True)
    start = f"{target.name}_"
    taken = [
        path.name[len(start) :].split("_")[0].split(".")[0]
        for path in target.parent.iterdir()
        if path.name.startswith(start)
    ]
    first = max((int(number) for number in taken if number.isdecimal()), default=0) + 1
    return [target.with_name(f"{start}{number:05}_{suffix}") for number in range(first, first + count)]


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path` to write to; it takes the name `path` only when all went well.

    The temporary name keeps the suffix, by which writers know their format. Interrupted or failed: it is deleted.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """As `whole_file`, for a folder of files. An empty or older folder at `path` is replaced."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
