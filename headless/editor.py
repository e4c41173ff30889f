"""The editor's own form of a workflow (what Save writes), turned into the API form (what Export (API) writes).

The editor's form holds what is needed to draw the graph; widget values come as a bare list, in the order of a node's
inputs, so the nodes' descriptions are needed to read them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ..svd.errors import InputError
from .graph import Info
from .values import Spec, specs

NOTES = ("Note", "MarkdownNote")
MUTED, BYPASSED = 2, 4  # a node's "mode" when it is switched off


def to_api(document: Mapping[str, Any], infos: Mapping[str, Info]) -> dict[str, Any]:
    """Converts a workflow. Nodes that are not in `infos` keep their links and lose their values: `check` names them.

    Raises:
        InputError: it uses something that only the editor can resolve (subgraphs, bypassed or primitive nodes).
    """
    try:
        nodes = {str(node["id"]): node for node in document["nodes"] if node["type"] not in NOTES}
        sources = {link[0]: (str(link[1]), link[2]) for link in document.get("links", [])}
        running = [node for node in nodes.values() if _runs(node, document)]
        return {str(node["id"]): _entry(node, nodes, sources, infos) for node in running}
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"This workflow is damaged ({error!r} where a node is described); save it again.") from error


def _runs(node: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Whether a node is part of the API form at all."""
    subgraphs = {subgraph["id"] for subgraph in document.get("definitions", {}).get("subgraphs", [])}
    if node["type"] in subgraphs or node["type"] == "PrimitiveNode" or node.get("mode") == BYPASSED:
        raise InputError(
            f"Node {node['id']} is a subgraph, a primitive or bypassed, which only the editor can resolve; "
            'use "Export (API)" there and run that file.'
        )
    return node["type"] != "Reroute" and node.get("mode") != MUTED


def _entry(
    node: Mapping[str, Any], nodes: Mapping[str, Any], sources: Mapping[int, Any], infos: Mapping[str, Info]
) -> Any:
    kind = node["type"]
    known = list(specs(infos[kind]).values()) if kind in infos else []
    inputs = dict(_widget_values(known, node.get("widgets_values") or []))
    for socket in node.get("inputs") or []:
        link = _source(socket.get("link"), nodes, sources)
        if link is not None:
            inputs[socket["name"]] = link
    title = node.get("title") or (infos[kind]["display_name"] if kind in infos else kind)
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": title}}


def _source(link: int | None, nodes: Mapping[str, Any], sources: Mapping[int, Any]) -> list[Any] | None:
    """The [node id, output index] behind a link, through reroutes; None when nothing that runs is there."""
    passed = set()
    while link is not None and link in sources:
        id, output = sources[link]
        if id not in nodes or nodes[id].get("mode") == MUTED:
            return None
        if nodes[id]["type"] != "Reroute":
            return [id, output]
        if id in passed:
            raise InputError(f"Reroute {id} feeds itself; remove one of the links of this circle.")
        passed.add(id)
        link = nodes[id]["inputs"][0].get("link")
    return None


def _widget_values(known: list[Spec], values: list[Any] | Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Pairs each widget with its value. Values the editor keeps for itself (what follows a seed) are passed over."""
    if isinstance(values, Mapping):
        yield from ((spec.name, values[spec.name]) for spec in known if spec.is_widget and spec.name in values)
        return
    position = 0
    for spec in known:
        if spec.is_widget and position < len(values):
            yield spec.name, values[position]
            position += 2 if spec.options.get("control_after_generate") else 1
