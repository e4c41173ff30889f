"""Work in a process of its own that is ended at a chosen moment, and what it has left."""

import hashlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from svd_nodes.svd.files.names import is_staging

WATCHED = {f"os.{name}" for name in ("link", "listdir", "mkdir", "remove", "rename", "rmdir", "scandir")} | {
    "open",
    "fcntl.flock",
}
"""What Python tells of before it does it: everything that touches a name, and more."""


def forked(work: Callable[[], Any]) -> int:
    """Does it in a child. Returns: its exit code, 1 after an exception, or minus the signal that ended it."""
    return _waited(start(work))


def _waited(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def start(work: Callable[[], Any]) -> int:
    """The child's id."""
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended_after(seconds: float, work: Callable[[], Any], number: int = signal.SIGKILL) -> int:
    """Does it in a child that gets a signal then, if it is still there. Returns: as `forked`."""
    child = start(work)
    time.sleep(seconds)
    os.kill(child, number)  # it has not been waited for, so that the number is its own
    return _waited(child)


def ended_at(point: int, work: Callable[[], Any], number: int = signal.SIGKILL) -> int:
    """Does it in a child that gets a signal before it touches the file system for the `point`-th time."""
    touches = count(1)

    def hook(event: str, _: Any) -> None:
        if event in WATCHED and next(touches) == point:
            os.kill(os.getpid(), number)

    def watched() -> None:
        sys.addaudithook(hook)
        work()

    return forked(watched)


def killed_at(point: int, work: Callable[[], Any]) -> bool:
    """Whether it was killed there. False: it came to its end before."""
    code = ended_at(point, work)
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def touches(work: Callable[[], Any]) -> int:
    """How often it touches the file system."""
    read, write = os.pipe()
    found = 0

    def hook(event: str, _: Any) -> None:
        nonlocal found
        found += event in WATCHED

    def watched() -> None:
        sys.addaudithook(hook)
        try:
            work()
        finally:
            os.write(write, str(found).encode())

    code = forked(watched)
    told = os.read(read, 99)
    os.close(read)
    os.close(write)
    assert code == 0, code
    return int(told)


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
