"""How a command ends: what a user can do something about is one sentence on stderr and an exit code."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories: controls, half characters, separators of lines
DIRECTIONS = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they reorder what is beside them


def printable(text: str) -> str:
    """Text of any origin (a file's name, a node's title, a server's word) as one line for a terminal.

    What a terminal would obey or could not show becomes an escape, "\\x1b" say. So does the end of a line: split text
    of several lines first.
    """

    def shown(letter: str) -> str:
        if unicodedata.category(letter) in UNPRINTABLE or letter in DIRECTIONS:
            return letter.encode("unicode_escape").decode()
        return letter

    return "".join(map(shown, text))


@contextmanager
def sentences(works_here: bool = True) -> Iterator[None]:
    """Turns what a user can do something about into one sentence on stderr and an exit code.

    works_here: a missing checkpoint is missing on this machine.
    """
    from ..svd.errors import InputError, LayersError, NonFiniteError

    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        raise typer.Exit(INTERRUPTED) from None
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
