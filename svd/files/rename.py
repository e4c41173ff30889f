"""Two renames that Python has no words for: to a name that nothing has, and two names exchanged in one moment."""

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

LINUX_HERE = -100  # AT_FDCWD: paths that are relative are so to the working folder
NEW, EXCHANGE = {"linux": (1, 2), "darwin": (4, 2)}.get(sys.platform, (0, 0))  # the system's flags


def rename_new(source: Path, target: Path) -> None:
    """Renames, and never replaces. FileExistsError: something has that name. OSError: the file system cannot."""
    if os.name == "nt":
        source.rename(target)  # which never replaces there
    else:
        _rename(source, target, NEW)


def exchange(one: Path, other: Path) -> None:
    """Each gets the other's name; at no moment is either name without something. OSError: the file system cannot."""
    _rename(one, other, EXCHANGE)


def _rename(source: Path, target: Path, flag: int) -> None:
    call = _system_call()
    if call is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), source)
    if call(os.fsencode(source), os.fsencode(target), flag):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), source, None, target)


@cache
def _system_call() -> Callable[[bytes, bytes, int], int] | None:
    """Linux's renameat2 or macOS' renamex_np; None where the system (or its C library) has neither."""
    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if renameat2 := getattr(library, "renameat2", None):
        return lambda source, target, flag: renameat2(LINUX_HERE, source, LINUX_HERE, target, flag)
    return getattr(library, "renamex_np", None)
