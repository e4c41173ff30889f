"""Signals that end a program, heard as Ctrl-C is: what was begun is cleaned up, what was finished is told."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has the first


class Stopped(KeyboardInterrupt):
    """The program was told to end. `exit_code` is what a shell makes of the signal: 143 for SIGTERM, 129 for SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def stopping() -> Iterator[None]:
    """Raises `Stopped` at one of these signals, unless it is ignored (as `nohup` has it) or heeded by somebody else."""
    mine = threading.current_thread() is threading.main_thread()  # no other may set handlers
    heard = [number for number in ENDING if mine and signal.getsignal(number) is signal.SIG_DFL]
    for number in heard:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(number)
