"""How far the work has come: on a terminal a bar for each node, with the time left; in a log a line now and then."""

import time
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .sentences import printable

SHOWN = 16  # lines; a terminal shows no more of a taller display than its top
EVERY = 10.0  # seconds between two lines of a log about the same node


def progress() -> "Bars | Lines":
    """A `Watch` for where stderr goes, to be entered by `with`."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    return Bars() if console.is_terminal else Lines(console)


class Lines:
    """A `Watch` that writes plain lines on stderr."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def started(self, name: str, position: int, count: int) -> None:
        self._name = f"{position}/{count}  {printable(name)}"
        self._began = self._told = time.monotonic()
        self._console.print(self._name, markup=False)

    def stepped(self, step: int, total: int, denoised: Any = None) -> None:
        now = time.monotonic()
        if now - self._told >= EVERY:
            self._told = now
            self._console.print(f"{self._name}: {step} of {total} after {now - self._began:.0f} s", markup=False)

    def finished(self) -> None:
        pass


class Bars:
    """A `Watch` that draws on stderr, so that what is printed on stdout is the result alone."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[place]} {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[dim]took"),
            TimeElapsedColumn(),
            TextColumn("[dim]left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, name: str, position: int, count: int) -> None:
        for task in self._progress.tasks[: 1 - SHOWN]:
            self._progress.remove_task(task.id)
        self._total = 1
        self._task = self._progress.add_task(escape(printable(name)), total=None, place=f"{position:>2}/{count}")

    def stepped(self, step: int, total: int, denoised: Any = None) -> None:
        self._total = total
        self._progress.update(self._task, completed=step, total=total)

    def finished(self) -> None:
        self._progress.update(self._task, completed=self._total, total=self._total)
