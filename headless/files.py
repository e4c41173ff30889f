"""Where results go: names that are never taken twice."""

import os
import time
from pathlib import Path, PurePath, PurePosixPath

from ..svd.errors import InputError
from ..svd.files.publish import publish, reason, require_writable, unfinished_file
from .text import fileable, shortened

__all__ = ["publish", "reason", "unfinished_file"]

LONGEST = 200  # bytes of a name; file systems take 255, and numbers and suffixes are put behind


def prepare_folder(folder: Path) -> Path:
    """Makes the output folder and makes sure that it can be written to, before hours of work go into it.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Nothing can be written to {folder} ({reason(error)}); choose another folder.") from None
    require_writable(folder)
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
