"""How a command ends: whatever goes wrong is one sentence on stderr and an exit code."""

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

from ..svd.errors import InputError, LayersError, NonFiniteError
from .signals import stopping
from .text import printable

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
LONGEST = 300  # letters of a sentence that is not ours
TOO_LITTLE = "There is not enough memory; use fewer frames or a smaller size."
REPORT = "That is a fault of svd-nodes. Please report it with what `svd-nodes doctor` says; --debug shows where it is."
debug = ContextVar("svd_nodes_debug", default=False)
"""Whether tracebacks are shown."""


@contextmanager
def sentences(works_here: bool = True) -> Iterator[None]:
    """Turns whatever ends a command early into one sentence on stderr and an exit code.

    works_here: a missing checkpoint is missing on this machine.
    """
    try:
        with stopping():
            yield
    except KeyboardInterrupt as error:
        with suppress(OSError):  # a terminal that was closed
            typer.echo("Stopped.", err=True)
        raise typer.Exit(getattr(error, "exit_code", INTERRUPTED)) from None
    except BrokenPipeError:  # whoever read what is printed has enough of it: the command line ends in silence
        raise
    except Exception as error:
        if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):  # typer's own, for it to show
            if hasattr(error, "message"):  # which quotes what was typed
                error.message = printable(error.message)
            raise
        if debug.get():
            for line in "".join(traceback.format_exception(error)).splitlines():
                typer.echo(printable(line), err=True)
        told, code, hint = _ending(error)
        if isinstance(error, InputError) and works_here:
            from .advice import advice

            hint = advice(told)
        fail(told, code, hint)


def _ending(error: Exception) -> tuple[str, int, str | None]:
    """What is said of an error, the exit code, and a hint."""
    match error:
        case InputError():
            return str(error), BAD_INPUT, None
        case NonFiniteError() | LayersError():
            return str(error), FAILED, None
        case MemoryError():
            return str(error) or TOO_LITTLE, FAILED, None
        case RecursionError():
            return "Something that was given is nested too deep.", FAILED, REPORT
        case UnicodeEncodeError():
            sign = error.object[error.start : error.end]
            way = "set PYTHONIOENCODING=utf-8, or use a name that it has"
            return f"What is written in {error.encoding} cannot hold {printable(sign)!r}; {way}.", FAILED, None
        case ModuleNotFoundError(name=str(name)) if not name.startswith("svd_nodes"):
            return f"The package {name!r} is missing; pip install 'svd-nodes[standalone]' brings it.", FAILED, None
        case OSError():
            from .files import reason

            where = f" ({str(error.filename)[:LONGEST]})" if error.filename else ""
            code = BAD_INPUT if error.errno == errno.ENAMETOOLONG else FAILED
            return f"A file could not be written or read{where}: {reason(error)}.", code, None
        case RuntimeError() if _is_out_of_memory(error):
            return TOO_LITTLE, FAILED, None
    said = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
    return f"Something unexpected stopped the work ({said}).", FAILED, REPORT


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch ran out of memory; only torch itself knows, which is there if it did."""
    if "torch" not in sys.modules:
        return False
    from ..nodes.host.advice import out_of_memory

    return out_of_memory(error)


def fail(sentences: str, code: int, hint: str | None = None) -> NoReturn:
    """Says what is wrong, a line for each sentence, and ends the command."""
    title = "bad input" if code == BAD_INPUT else "failed"
    for sentence in sentences.split("\n"):
        _say(sentence, f"[bold red]{title}[/]")
    if hint:
        _say(hint)
    raise typer.Exit(code)


def note(sentence: str) -> None:
    """Says something that keeps nobody from going on."""
    _say(sentence, "[bold yellow]note[/]")


def _say(sentence: str, title: str = "") -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    if title:
        console.print(title, end="  ")
    console.print(printable(sentence), markup=False)


def result(path: Path) -> None:
    """Prints where something is. Piped on, its name keeps every byte; a terminal gets it `printable`."""
    typer.echo(printable(str(path)) if sys.stdout.isatty() else os.fsencode(path))
