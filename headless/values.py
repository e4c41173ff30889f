"""The values in a workflow's boxes: what a node's description allows, and reading a value from JSON or from text."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..svd.errors import InputError
from .graph import Info

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")  # the types with a box to type in; all others need a link
NOUNS = {
    "INT": "a whole number",
    "FLOAT": "a number",
    "STRING": "a text",
    "BOOLEAN": "true or false",
    "COMBO": "a text",
}


@dataclass(frozen=True)
class Spec:
    """One input of a node: its type, its options, whether it must be given."""

    name: str
    type: str
    options: Mapping[str, Any]
    required: bool

    @property
    def is_widget(self) -> bool:
        return self.type in WIDGETS and not self.options.get("forceInput")

    @property
    def choices(self) -> list[Any]:
        return list(self.options.get("options") or [])


def specs(info: Info) -> dict[str, Spec]:
    """The inputs of a node by name, in the order the editor shows them.

    An input is `[type, options]`; a combo is either `["COMBO", {"options": [...]}]` or, older, `[[...], {...}]`.
    """
    found: dict[str, Spec] = {}
    for group in ("required", "optional"):
        for name, (kind, *rest) in info["input"].get(group, {}).items():
            options = dict(rest[0]) if rest else {}
            if isinstance(kind, list):
                kind, options = "COMBO", {"options": kind, **options}
            found[name] = Spec(name, kind, options, group == "required")
    return found


def typed(spec: Spec, value: Any) -> Any:
    """The value in the input's own type: JSON's 25.0 or "25" where a whole number is asked for becomes 25.

    Raises:
        InputError: a clause such as `"abc" is not a whole number`, for the caller to put after the input's name.
    """
    try:
        match spec.type:
            case "INT" if not isinstance(value, bool) and not (isinstance(value, float) and value % 1):
                return int(value)
            case "FLOAT" if not isinstance(value, bool) and math.isfinite(float(value)):
                return float(value)
            case "BOOLEAN" if isinstance(value, bool):
                return value
            case "STRING" if isinstance(value, str | int | float):
                return str(value)
            case "COMBO" if isinstance(value, str):
                return value
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"is {_shown(value)}, which is not {NOUNS[spec.type]}")


def out_of_range(spec: Spec, value: Any) -> str | None:
    """What is wrong with a typed number, as a clause; None when it is within the input's limits."""
    low, high = spec.options.get("min"), spec.options.get("max")
    if spec.type not in ("INT", "FLOAT"):
        return None
    if low is not None and value < low:
        return f"is {value}, but the least is {low}"
    if high is not None and value > high:
        return f"is {value}, but the most is {high}"
    return None


def not_a_choice(spec: Spec, value: Any) -> str | None:
    """What is wrong with a combo's value, as a clause; None when it is one of the choices."""
    if spec.type != "COMBO" or value in spec.choices:
        return None
    shown = ", ".join(str(choice) for choice in spec.choices[:8]) + (", ..." if len(spec.choices) > 8 else "")
    return f"is {_shown(value)}, which is not one of: {shown or '(nothing to choose from)'}"


def from_text(spec: Spec, text: str) -> Any:
    """Reads what a user typed on the command line.

    Raises:
        InputError: a clause, as in `typed`.
    """
    if spec.type == "BOOLEAN":
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        return typed(spec, words.get(text.strip().lower(), text))
    if spec.type == "COMBO":
        return next((choice for choice in spec.choices if str(choice) == text), text)
    return typed(spec, text)


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
