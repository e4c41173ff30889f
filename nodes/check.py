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


def require(verdict: Verdict) -> None:
    """What `execute` does with it: InputError if something is wrong."""
    if isinstance(verdict, str):
        raise InputError(verdict)


def refusal(function: Callable[..., Any], *values: Any) -> str | None:
    """The sentence with which a function of `svd` refuses these values; nothing is asked while one is unknown."""
    if None in values:
        return None
    try:
        function(*values)
    except InputError as error:
        return str(error)
    return None


def choice(name: str, value: str | None, options: Sequence[str]) -> str | None:
    if value is None or value in options:
        return None
    return f"{name} is {value!r}: choose one of {', '.join(options)}."


def between(name: str, value: float | None, low: float, high: float) -> str | None:
    if value is None or low <= value <= high:
        return None
    return f"{name} is {value:g}: it must be between {low:g} and {high:g}."


def in_order(low_name: str, low: float | None, high_name: str, high: float | None) -> str | None:
    if low is None or high is None or low <= high:
        return None
    return f"{low_name} {low:g} is above {high_name} {high:g}: swap them."
