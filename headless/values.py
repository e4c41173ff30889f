"""The values in a workflow's boxes: what a node's description allows, and reading a value from JSON or from text."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..svd.errors import InputError
from .graph import Info
from .text import shortened

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")  # the types with a box to type in; all others need a link
EDITOR_WIDGETS = (  # of newer editors; nothing here has one
    *("MARKDOWN", "TEXTAREA", "COLOR", "COLORS", "CURVE", "RANGE", "CHART", "GALLERIA", "PAINTER"),
    *("IMAGECOMPARE", "BOUNDING_BOX", "BOUNDING_BOXES", "COMPOSITOR", "VIDEO_EDIT"),
)
NESTED = "COMFY_DYNAMICCOMBO_V3"  # a combo whose choice brings inputs of its own
NOUNS = {
    "INT": "a whole number",
    "FLOAT": "a number",
    "STRING": "a text",
    "BOOLEAN": "true or false",
    "COMBO": "a text",
}


@dataclass(frozen=True)
class Spec:
    """One input of a node: its type, its options, whether it must be given.

    branches: of a nested combo, the inputs that each choice brings.
    """

    name: str
    type: str
    options: Mapping[str, Any]
    required: bool
    branches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_widget(self) -> bool:
        return self.options.get("widgetType", self.type) in (*WIDGETS, *EDITOR_WIDGETS) and not self.options.get(
            "forceInput"
        )

    @property
    def choices(self) -> list[Any]:
        return list(self.options.get("options") or [])

    @property
    def default(self) -> Any:
        """What the editor fills in where a file holds no value."""
        if self.type == "COMBO":
            return self.options.get("default") or next(iter(self.choices), None)
        return self.options.get("default", {"INT": 0, "FLOAT": 0, "STRING": "", "BOOLEAN": False}.get(self.type))


def specs(info: Info, values: Mapping[str, Any] | None = None) -> dict[str, Spec]:
    """The inputs of a node by name, in the order the editor shows them.

    An input is `[type, options]`; a combo is either `["COMBO", {"options": [...]}]` or, older, `[[...], {...}]`.
    values: where given, the inputs that its choices bring are among them, as "format.codec".
    """
    found: dict[str, Spec] = {}
    waiting = list(_group(info["input"]))
    while waiting:
        spec = waiting.pop(0)
        found[spec.name] = spec
        if values is not None:
            waiting[:0] = branch(spec, values.get(spec.name, spec.default))
    return found


def branch(spec: Spec, choice: Any) -> list[Spec]:
    """The inputs that a choice of a nested combo brings."""
    inside = spec.branches.get(choice) if isinstance(choice, str) else None
    return list(_group(inside, f"{spec.name}.")) if inside else []


def _group(inputs: Mapping[str, Any], prefix: str = "") -> Iterator[Spec]:
    for group in ("required", "optional"):
        for name, (kind, *rest) in (inputs.get(group) or {}).items():
            options = dict(rest[0]) if rest else {}
            branches: dict[str, Any] = {}
            if isinstance(kind, list):
                kind, options = "COMBO", {"options": kind, **options}
            if kind == NESTED:
                branches = {choice["key"]: choice["inputs"] for choice in options.get("options", [])}
                kind, options = "COMBO", {**options, "options": list(branches)}
            yield Spec(prefix + name, kind, options, group == "required", branches)


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
            case type if type in EDITOR_WIDGETS:
                return value
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"is {_shown(value)}, which is not {NOUNS.get(spec.type, spec.type)}")


def out_of_range(spec: Spec, value: Any) -> str | None:
    """What is wrong with a typed number, as a clause; None when it is within the input's limits."""
    low, high = spec.options.get("min"), spec.options.get("max")
    if spec.type not in ("INT", "FLOAT"):
        return None
    if low is not None and value < low:
        return f"is {shortened(value)}, but the least is {low}"
    if high is not None and value > high:
        return f"is {shortened(value)}, but the most is {high}"
    return None


def not_a_choice(spec: Spec, value: Any) -> str | None:
    """What is wrong with a combo's value, as a clause; None when it is one of the choices."""
    if spec.type != "COMBO" or value in spec.choices:
        return None
    shown = ", ".join(shortened(choice) for choice in spec.choices[:8]) + (", ..." if len(spec.choices) > 8 else "")
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
    return shortened(f'"{value}"' if isinstance(value, str) else value)
