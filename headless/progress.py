"""How far the work has come, on the terminal: one line per node, with the steps and the time left."""

from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SHOWN = 16  # lines; a terminal shows no more of a taller display than its top


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
        self._task = self._progress.add_task(escape(name), total=None, place=f"{position:>2}/{count}")

    def stepped(self, step: int, total: int, denoised: Any = None) -> None:
        self._total = total
        self._progress.update(self._task, completed=step, total=total)

    def finished(self) -> None:
        self._progress.update(self._task, completed=self._total, total=self._total)
