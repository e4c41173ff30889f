"""%date:yyyy-MM-dd% and %Node.input% in the names of files, which the editor's page fills in when it queues."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_PATTERN = re.compile("%([^%]+)%")
_DATE_PART = re.compile("dd?|MM?|hh?|mm?|ss?|yyy?y?")
_UNFIT = re.compile('[/?<>\\\\:*|"\x00-\x1f\x7f]')  # for the name of a file, on any system
PREFIX = "filename_prefix"


@dataclass(frozen=True)
class Named:
    """A node that a name may speak of: by its kind, else by its title."""

    id: str
    kind: str
    title: str
    values: Mapping[str, Any]


def of_prompt(prompt: Mapping[str, Any]) -> list[Named]:
    """The nodes of a workflow in the API form, with the values that are not linked."""
    nodes = []
    for id, entry in prompt.items():
        meta = entry.get("_meta")
        title = meta.get("title") if isinstance(meta, dict) else ""
        nodes.append(Named(id, entry["class_type"], str(title), entry.get("inputs", {})))
    return nodes


def find(name: str, nodes: Iterable[Named]) -> Named | None:
    nodes = list(nodes)
    return next((n for n in nodes if n.kind == name), None) or next((n for n in nodes if n.title == name), None)


def filled(prompt: Mapping[str, Any], moment: time.struct_time) -> dict[str, Any]:
    """The workflow with every placeholder of its file names filled in; what names nothing stays as it is."""
    nodes = of_prompt(prompt)
    return {id: with_prefix(entry, lambda text: fill(text, nodes, moment)) for id, entry in prompt.items()}


def filled_early(prompt: Mapping[str, Any], drawn: Iterable[Named]) -> dict[str, Any]:
    """The workflow with those placeholders filled in that only the drawing can answer: of nodes that do not run."""
    nodes, drawn = of_prompt(prompt), list(drawn)

    def early(text: str) -> str:
        def replaced(found: re.Match[str]) -> str:
            name = found[1].partition(".")[0]
            meant, runs = find(name, drawn), find(name, nodes)
            stays = meant is None or (runs is not None and runs.id == meant.id)
            return found[0] if stays else _value(found, drawn)

        return _PATTERN.sub(replaced, text)

    return {id: with_prefix(entry, early) for id, entry in prompt.items()}


def with_prefix(entry: Mapping[str, Any], change: Any) -> Any:
    """A node with its file name changed, if it has one."""
    prefix = entry.get("inputs", {}).get(PREFIX)
    return {**entry, "inputs": {**entry["inputs"], PREFIX: change(prefix)}} if isinstance(prefix, str) else entry


def fill(text: str, nodes: Iterable[Named], moment: time.struct_time) -> str:
    def replaced(found: re.Match[str]) -> str:
        if found[1].startswith("date:") and "." not in found[1]:
            return _DATE_PART.sub(lambda part: _date_part(part[0], moment), found[1].removeprefix("date:"))
        return _value(found, nodes)

    return _PATTERN.sub(replaced, text)


def _value(found: re.Match[str], nodes: Iterable[Named]) -> str:
    """What stands for "Node.input", as the page writes it; the pattern itself where there is none."""
    name, dot, widget = found[1].partition(".")
    node = find(name, nodes) if dot and "." not in widget else None
    if node is None or widget not in node.values or isinstance(node.values[widget], list | dict):
        return found[0]
    value = node.values[widget]
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return _UNFIT.sub("_", "" if value is None else str(value))


def _date_part(part: str, moment: time.struct_time) -> str:
    if part.startswith("y"):
        return {"yy": f"{moment.tm_year % 100:02}", "yyyy": str(moment.tm_year)}.get(part, part)
    numbers = {"d": "tm_mday", "M": "tm_mon", "h": "tm_hour", "m": "tm_min", "s": "tm_sec"}
    return str(getattr(moment, numbers[part[0]])).rjust(len(part), "0")
