"""The editor's own form of a workflow (what Save writes), turned into the API form (what Export (API) writes).

The rules are those of the editor's own export: bypassed nodes hand on what comes in by a fitting input, muted ones give
nothing, reroutes and subgraphs are seen through, a primitive puts its value where it leads.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..svd.errors import InputError
from .document import strict
from .drawing import BYPASSED, MUTED, Drawing, Drawn, read_drawing
from .graph import Info
from .placeholders import Named, filled_early
from .resolve import Cut, Resolver, Value
from .subgraphs import PRIMITIVE, REROUTE, Instance, Instances, expand
from .widgets import read_widgets

NOTES = ("Note", "MarkdownNote")
_SUBGRAPH_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GROUP_NODE = re.compile("workflow[>/]")


@dataclass
class Export:
    """What came out. notes: what was passed over, one sentence each. cuts: inputs that lost what they were linked to,
    by node id and input, and the switched-off node that is to blame."""

    prompt: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    cuts: dict[tuple[str, str], str] = field(default_factory=dict)


def to_api(document: Mapping[str, Any], infos: Mapping[str, Info]) -> dict[str, Any]:
    """The API form alone. Nodes that are not in `infos` keep their links and lose their values: `check` names them.

    Raises:
        InputError: it is damaged, or uses something that only the editor can resolve.
    """
    return export(document, infos).prompt


def export(document: Mapping[str, Any], infos: Mapping[str, Info]) -> Export:
    """Converts a workflow, and says what was passed over. Raises as `to_api`."""
    names = {kind: str(info["display_name"]) for kind, info in infos.items() if info.get("display_name")}
    drawing = read_drawing(strict(document), names)
    result = Export({})
    instances = expand(drawing, infos)
    resolver = Resolver(drawing, instances, infos)
    for instance in instances.values():
        for node in instance.page.nodes.values():
            if _runs(node, drawing, infos):
                id = instance.id_of(node)
                result.prompt[id] = _entry(node, instance, resolver, infos, result)
    result.prompt = filled_early(result.prompt, _drawn(instances, result.prompt, infos))
    result.notes = list(dict.fromkeys([*(note for i in instances.values() for note in i.notes), *result.notes]))
    return result


def _drawn(instances: Instances, prompt: Mapping[str, Any], infos: Mapping[str, Info]) -> Iterator[Named]:
    """Every node of the drawing, whether it runs or not, with its values."""
    for instance in instances.values():
        for node in instance.page.nodes.values():
            id, info = instance.id_of(node), infos.get(node.kind)
            values = read_widgets(info, node.values, node.named_values).values if info else {}
            name = node.properties.get("Node name for S&R")
            yield Named(id, str(name), node.title, prompt[id]["inputs"] if id in prompt else values)


def _runs(node: Drawn, drawing: Drawing, infos: Mapping[str, Info]) -> bool:
    """Whether a node is part of the API form at all."""
    if node.kind in (*NOTES, PRIMITIVE, REROUTE) or node.kind in drawing.subgraphs or node.mode in (MUTED, BYPASSED):
        return False
    if node.kind not in infos and not node.sockets and not node.outputs:
        return False  # decoration, which some packs draw as nodes
    if _GROUP_NODE.match(node.kind):
        raise InputError(
            f"{node} is a group node of older editors; open it in a current one, which makes it a subgraph, and save."
        )
    if _SUBGRAPH_ID.fullmatch(node.kind):
        raise InputError(f"{node} is a subgraph whose inside is not in this file; save the workflow again.")
    return True


def _entry(
    node: Drawn, instance: Instance, resolver: Resolver, infos: Mapping[str, Info], result: Export
) -> dict[str, Any]:
    id = instance.id_of(node)
    inputs: dict[str, Any] = {}
    if info := infos.get(node.kind):
        read = read_widgets(info, node.values, node.named_values)
        inputs = {name: _wrapped(value) for name, value in (read.values | instance.values_of(node)).items()}
        if read.left:
            what = ", ".join(read.left[:8]) + (", ..." if len(read.left) > 8 else "")
            result.notes.append(f"{node}: no input of it takes {what}; left out.")
    for name, source in resolver.sources(instance, node):
        if isinstance(source, Cut):
            result.cuts[id, name] = source.by
        elif isinstance(source, Value):
            inputs[name] = _wrapped(source.value)
        elif source is not None:
            inputs[name] = [source.node, source.output]
    return {"class_type": node.kind, "inputs": inputs, "_meta": {"title": node.title}}


def _wrapped(value: Any) -> Any:
    """A value that is itself a list travels as {"__value__": [...]}, because a plain list is a link."""
    return {"__value__": value} if isinstance(value, list) else value
