"""The nodes' own checks of their widgets: one sentence each, before the run where the editor lets us, and again in it.

The editor asks `validate_inputs` before a run, with None for an input that is linked; `execute` asks again when all
values are known. For the inputs that `validate_inputs` names, the editor leaves even the range to us.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..svd.errors import InputError

Verdict = bool | str  # True, or what is wrong


def first_problem(*problems: str | None) -> Verdict:
    """What `validate_inputs` returns."""
    return next((problem for problem in problems if problem), True)


def require(verdict_of: Callable[..., Verdict], **values: Any) -> None:
    """What `execute` does with it, when no value may be unknown any more: InputError if something is wrong."""
    if missing := [name for name, value in values.items() if value is None]:
        raise InputError(f"{missing[0]} has no value: set it.")
    verdict = verdict_of(**values)
    if isinstance(verdict, str):
        raise InputError(verdict)


def require_choice(name: str, value: str | None, options: Sequence[str]) -> None:
    """The same for a choice that `validate_inputs` does not name, so that the run is the first to check it.

    The editor repeats a sentence once for each input named there, as if each were wrong; so no more are than must be.
    """
    if (problem := choice(name, value, options)) or value is None:
        raise InputError(problem or f"{name} has no value: set it.")


def refusal(function: Callable[..., Any], *values: Any) -> str | None:
    """The sentence with which a function refuses these values.

    None while one is unknown, or of another type: that the editor refuses itself, and still asks us.
    """
    try:
        if None not in values:
            function(*values)
    except InputError as error:
        return str(error)
    except TypeError:
        return None
    return None


def text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return None
    return f"{name} is {value!r}: it must be a text."


def choice(name: str, value: str | None, options: Sequence[str]) -> str | None:
    if value is None or value in options:
        return None
    return f"{name} is {value!r}: choose one of {', '.join(options)}."


def between(name: str, value: object, low: float, high: float) -> str | None:
    if not isinstance(value, int | float) or low <= value <= high:
        return None
    return f"{name} is {value:g}: it must be between {low:g} and {high:g}."
