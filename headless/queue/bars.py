"""The queue on the terminal: a line a job, and one for all of them. Into a log: what is waited for, what is over."""

import time
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from .words import one_line, plain

SHOWN = 14  # jobs; a terminal shows no more of a taller display than its top


class Clock(TimeElapsedColumn):
    """How long a job has been at its node. A line that is over says its time itself, as the server measured it."""

    def render(self, task: Task) -> Text:
        return Text() if task.fields.get("over") else super().render(task)


class QueueBars:
    """Draws on stderr, so that what is printed on stdout is the results alone.

    tell_every: seconds between two lines of a log about one job.
    """

    def __init__(self, tell_every: float) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[dim]{task.fields[what]}"),
            Clock(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._lines: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}  # when the log was told of a job
        self._tell_every = tell_every
        self._before = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, total: int, done: int) -> None:
        """So many jobs there are, and so many are done already."""
        self._all = self._progress.add_task("[bold]all", total=total, completed=done, what="jobs")
        self._over, self._total = done, total

    @property
    def waits(self) -> bool:
        """Whether others' jobs come first."""
        return self._before > 0

    def turn(self, before: int) -> None:
        """So many jobs of others come before the first of these."""
        if before == self._before:
            return
        self._before = before
        words = f"{before} job{'s' * (before > 1)} before yours" if before else ""
        self._progress.update(self._all, what=", ".join(filter(None, ("jobs", words))))
        if words:
            self._log(f"waiting: {words}")

    def at(self, name: str, node: str) -> None:
        """The job has come to this node."""
        self._progress.reset(self._line(name), total=None, what=escape(one_line(node)), start=True)
        self._before = 0
        if name not in self._told:
            self._told[name] = time.monotonic()
            self._log(f"{self._over + 1}/{self._total}  {name}  begun")

    def stepped(self, name: str, step: int, total: int) -> None:
        self._progress.update(self._line(name), completed=step, total=total)
        now = time.monotonic()
        if now - self._told.setdefault(name, now) >= self._tell_every:
            self._told[name] = now
            self._log(f"{self._over + 1}/{self._total}  {name}  {step} of {total}")

    def over(self, name: str, what: str, failed: bool = False) -> None:
        """The job is done, or has failed; `what` says it in a word or two."""
        style = "[/][bold red]" if failed else ""
        self._progress.update(self._line(name), completed=1, total=1, what=style + escape(what), over=True)
        self._progress.stop_task(self._line(name))
        self._progress.advance(self._all)
        self._over += 1
        self._log(f"{self._over}/{self._total}  {name}  {what}")

    def say(self, sentence: str) -> None:
        """Something that concerns all jobs, such as a lost connection."""
        self._console.print(plain(sentence), markup=False)

    def _log(self, line: str) -> None:
        if self._progress.disable:
            self.say(line)

    def _line(self, name: str) -> TaskID:
        if name not in self._lines:
            while len(self._lines) >= SHOWN:
                self._progress.remove_task(self._lines.pop(next(iter(self._lines))))
            self._lines[name] = self._progress.add_task(escape(name), total=None, what="")
        return self._lines[name]
