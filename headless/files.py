"""Where results go: names that are never taken twice, and files that are whole or not there."""

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath

from ..svd.errors import InputError
from .text import fileable, shortened

LONGEST = 200  # bytes of a name; file systems take 255, and numbers and suffixes are put behind


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


def name_problem(path: PurePath) -> str | None:
    """One sentence when no file system can hold this name."""
    try:
        longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    except UnicodeEncodeError:
        return f"The name {str(path)!a} holds half a character; use another name."
    if longest > LONGEST:
        return f'The name "{shortened(path, 43)}" is longer than {LONGEST} bytes; use a shorter one.'
    return None


def prefix_problem(prefix: str, folder: Path) -> str | None:
    """One sentence when a file name prefix names no file that could be made in the output folder."""
    path = PurePosixPath(prefix.replace("\\", "/"))
    shown = shortened(prefix, LONGEST)
    if path.is_absolute() or ".." in path.parts or PurePath(prefix).drive:
        return f'The name "{shown}" leads out of the output folder; use a name without "..", a drive or a leading "/".'
    if not path.name or prefix.endswith("/") or "\0" in prefix:
        return f'The name "{shown}" names no file; end it with a name, such as "video/clip".'
    if sentence := name_problem(path):
        return sentence
    home = (folder / path).parent
    if not home.resolve().is_relative_to(folder.resolve()):
        return f'The name "{shown}" leads out of the output folder through a link; use another name.'
    inside = [part for part in (home, *home.parents) if part != folder and part.is_relative_to(folder)]
    there = next(filter(os.path.exists, inside), None)
    if there and not (there.is_dir() and os.access(there, os.W_OK)):
        return f'The name "{shown}" needs a folder where none can be written ({there}); use another name.'
    return None


def free_names(folder: Path, prefix: str, suffix: str, count: int, width: int, height: int) -> list[Path]:
    """The next names of the editor's kind: PREFIX_00001_.mp4, PREFIX_00002_.mp4, ... counting on from what is there.

    Args:
        prefix: may hold a folder ("video/clip") and the editor's %width% %height% %year% %month% %day% %hour%
            %minute% %second%.
    Raises:
        InputError: as `prefix_problem` says.
    """
    moment = time.strftime("%Y %m %d %H %M %S").split()
    words = zip(("year", "month", "day", "hour", "minute", "second"), moment, strict=True)
    for word, value in (("width", str(width)), ("height", str(height)), *words):
        prefix = prefix.replace(f"%{word}%", value)
    if sentence := prefix_problem(prefix, folder):
        raise InputError(sentence)
    target = folder / fileable(prefix.replace("\\", "/"))
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
