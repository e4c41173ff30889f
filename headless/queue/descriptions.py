"""What the server's nodes say of themselves, as far as it has the shape that the editor gives it.

Packs of all kinds fill this in, and a server may be no editor at all, so it is looked through once, here: what is
read from it later is what it seems. One input that is odd is left out; the rest of its node stays.
"""

from collections.abc import Mapping
from typing import Any

from ..graph import Info

NUMBERS = ("min", "max", "step")
KINDS: Mapping[str, type | tuple[type, ...]] = {
    "display_name": str,
    "output": list,
    "output_name": list,
    "output_node": bool,
    "input_order": dict,
}


def sound(infos: Mapping[str, Any]) -> dict[str, Info]:
    """The nodes that are described, by kind."""
    return {kind: _node(info) for kind, info in infos.items() if isinstance(info, dict)}


def _node(info: Mapping[str, Any]) -> Info:
    kept = {name: value for name, value in info.items() if isinstance(value, KINDS.get(name, object))}
    groups = info.get("input")
    groups = groups if isinstance(groups, dict) else {}
    kept["input"] = {name: _inputs(group) for name, group in groups.items() if isinstance(group, dict)}
    return kept


def _inputs(group: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Each as [type, options]; a type is a name, or a list of choices."""
    return {
        name: [_kind(spec[0]), _options(spec)]
        for name, spec in group.items()
        if isinstance(spec, list) and spec and isinstance(spec[0], str | list)
    }


def _kind(kind: str | list[Any]) -> str | list[Any]:
    return kind if isinstance(kind, str) else _scalars(kind)


def _options(spec: list[Any]) -> dict[str, Any]:
    told = spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}
    options = {name: value for name, value in told.items() if name not in NUMBERS or _is_number(value)}
    if "options" in options:
        choices = options["options"] if isinstance(options["options"], list) else []
        options["options"] = _scalars(choices) if spec[0] == "COMBO" else choices
    return options


def _scalars(choices: list[Any]) -> list[Any]:
    return [choice for choice in choices if isinstance(choice, str | int | float)]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
