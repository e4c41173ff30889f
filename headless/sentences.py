"""How a command ends: what a user can do something about is one sentence on stderr and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer
from rich.console import Console

from .signals import stopping

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


@contextmanager
def sentences(works_here: bool = True) -> Iterator[None]:
    """Turns what a user can do something about into one sentence on stderr and an exit code.

    works_here: a missing checkpoint is missing on this machine.
    """
    from ..svd.errors import InputError, LayersError, NonFiniteError

    try:
        with stopping():
            yield
    except KeyboardInterrupt as error:
        with suppress(OSError):  # a terminal that was closed
            typer.echo("Stopped.", err=True)
        raise typer.Exit(getattr(error, "exit_code", INTERRUPTED)) from None
    except InputError as error:
        from .advice import advice

        fail(str(error), BAD_INPUT, advice(str(error)) if works_here else None)
    except (NonFiniteError, LayersError, MemoryError) as error:
        fail(str(error) or "There is not enough memory; use fewer frames or a smaller size.", FAILED)
    except BrokenPipeError:  # whoever read what is printed has enough of it: the command line ends in silence
        raise
    except OSError as error:
        from .files import reason

        where = f" ({error.filename})" if error.filename else ""
        fail(f"A file could not be written or read{where}: {reason(error)}.", FAILED)


def fail(sentences: str, code: int, hint: str | None = None) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    for sentence in sentences.splitlines():
        console.print(f"[bold red]{'bad input' if code == BAD_INPUT else 'failed'}[/]", end="  ")
        console.print(sentence, markup=False)
    if hint:
        console.print(hint, markup=False)
    raise typer.Exit(code)
