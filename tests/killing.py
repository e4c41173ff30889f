"""Work in a process of its own that is ended at a chosen moment, and what it has left."""

import hashlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from svd_nodes.svd.files.names import is_staging

WATCHED = (
    "open",
    "os.link",
    "os.listdir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.scandir",
    "fcntl.flock",
)
"""What Python tells of before it does it: everything that touches a name, and more."""


def forked(work: Callable[[], Any]) -> int:
    """Does it in a child. Returns: its exit code, 1 after an exception, or minus the signal that ended it."""
    child = start(work)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def start(work: Callable[[], Any]) -> int:
    """The child's id."""
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def killed_at(point: int, work: Callable[[], Any]) -> bool:
    """Does it in a child that kills itself before it touches the file system for the `point`-th time.

    Returns: whether it was killed; False, it came to its end before.
    """
    touches = count(1)

    def hook(event: str, _: Any) -> None:
        if event in WATCHED and next(touches) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched() -> None:
        sys.addaudithook(hook)
        work()

    code = forked(watched)
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def content(folder: Path) -> dict[str, str]:
    """The hash of every file that is anybody's result, by its name in the folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(is_staging(parent) for parent in path.parents):
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def leftovers(folder: Path) -> list[Path]:
    """Staging folders, wherever they are."""
    return [path for path in folder.rglob(".*") if is_staging(path)]
