"""Runs many small cases in one process of its own, started anew when a case ends it or does not end."""

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import Any

MEMORY = 4 << 30  # bytes that the process may take
START = 300.0  # seconds, for its imports
Answer = dict[str, Any]  # what a case tells; "failure" in it says what is wrong
Judge = Callable[[int], Answer]


class Worker:
    """One process. make_judge: a function of a module, called in the process with `arguments`; it makes the judge."""

    def __init__(self, make_judge: Callable[..., Judge], arguments: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, make_judge, arguments), daemon=True)
        self.process.start()
        theirs.close()
        if not self.pipe.poll(START):
            raise TimeoutError("the worker did not start")
        self.pipe.recv()

    def ask(self, number: int, seconds: float) -> Answer | None:
        """The answer; None if the process ended, or did not answer within `seconds`: then it is of no use any more."""
        self.pipe.send(number)
        try:
            return self.pipe.recv() if self.pipe.poll(seconds) else None
        except (EOFError, ConnectionError):
            return None

    def end(self) -> int | None:
        self.process.kill()
        self.process.join()
        return self.process.exitcode


def answers(
    make_judge: Callable[..., Judge], arguments: tuple[Any, ...], numbers: Iterable[int], seconds: float
) -> Iterator[tuple[int, Answer]]:
    """What each case answers. seconds: after which a case counts as one that does not end."""
    worker = Worker(make_judge, arguments)
    try:
        for number in numbers:
            answer = worker.ask(number, seconds)
            if answer is None:
                ended = None if worker.process.is_alive() else worker.process.exitcode
                worker.end()
                why = f"did not end within {seconds:g} s" if ended is None else f"ended the process ({ended})"
                answer = {"failure": why}
                worker = Worker(make_judge, arguments)
            yield number, answer
    finally:
        worker.end()


def _serve(pipe: Connection, make_judge: Callable[..., Judge], arguments: tuple[Any, ...]) -> None:
    judge = make_judge(*arguments)
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    pipe.send("ready")
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        pipe.send(judge(number))
