"""A workflow in the API format, read into plain data.

The format is what the editor's "Export (API)" writes and what its queue takes: one JSON object, a node's id to
`{"class_type": ..., "inputs": {name: value or [node id, output index]}, "_meta": {"title": ...}}`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from ..svd.errors import InputError
from .document import read_json
from .text import printable, shortened

Info = Mapping[str, Any]  # one node as the editor's /object_info tells it


@dataclass(frozen=True)
class Link:
    """An input that takes what another node gives out."""

    node: str
    output: Any  # an integer in a sound workflow; `check` says so when it is not


@dataclass(frozen=True)
class Node:
    """One node of a workflow. `str(node)` is how messages name it."""

    id: str
    class_type: str
    title: str
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f'Node {shortened(self.id)} "{shortened(self.title)}"'

    @property
    def links(self) -> dict[str, Link]:
        """The connected inputs by name. A list that is no pair is left for `check` to report."""
        pairs = {name: value for name, value in self.inputs.items() if isinstance(value, list) and len(value) == 2}
        return {name: Link(str(source), output) for name, (source, output) in pairs.items()}


Graph = dict[str, Node]


BUNDLED = Path(__file__).resolve().parents[1] / "workflows" / "api"  # what `svd-nodes run quickstart` finds


def read_document(path: Path) -> dict[str, Any]:
    """Reads a workflow file, or the workflow in a film or picture, as JSON.

    A bare name that is no file here means one of the pack's own workflows.

    Raises:
        InputError: the file is missing, cannot be read, or holds no JSON object.
    """
    own = BUNDLED / f"{path}.json"
    if not path.exists() and own.parent == BUNDLED and own.is_file():
        path = own
    return read_json(path)


def is_editor_form(document: Mapping[str, Any]) -> bool:
    """Whether this is what the editor's Save writes (node positions, widget values in order)."""
    return isinstance(document.get("nodes"), list)


def parse(prompt: Mapping[str, Any], infos: Mapping[str, Info]) -> Graph:
    """Turns an API-format object into nodes. `infos` only supplies names for nodes without a title.

    Raises:
        InputError: an entry is no node at all (the finer faults are `check`'s).
    """
    graph: Graph = {}
    for id, entry in prompt.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("class_type"), str):
            raise InputError(
                f'Node {shortened(id)} has no "class_type"; export the workflow again with "Export (API)".'
            )
        inputs = entry.get("inputs", {})
        if not isinstance(inputs, dict):
            raise InputError(f'The "inputs" of node {shortened(id)} are not a JSON object; export the workflow again.')
        kind = entry["class_type"]
        meta = entry.get("_meta")
        title = (meta or {}).get("title") if isinstance(meta, dict) else None
        title = title or infos.get(kind, {}).get("display_name") or kind
        graph[str(id)] = Node(str(id), kind, printable(title), inputs)
    return graph


def needed(graph: Graph, outputs: Iterable[str]) -> Graph:
    """The nodes that `outputs` take from, near or far, and `outputs` themselves, in the workflow's order."""
    seen = set(outputs)
    waiting = list(seen)
    while waiting:
        sources = {link.node for link in graph[waiting.pop()].links.values()} & graph.keys() - seen
        seen |= sources
        waiting.extend(sources)
    return {id: node for id, node in graph.items() if id in seen}


def order(graph: Graph) -> list[Node]:
    """The nodes, each after everything it takes from.

    Raises:
        CycleError: some nodes feed each other in a circle; `args[1]` lists their ids along it.
    """
    sources = {id: [link.node for link in node.links.values() if link.node in graph] for id, node in graph.items()}
    return [graph[id] for id in TopologicalSorter(sources).static_order()]


def fits(one: str, other: str) -> bool:
    """Whether an output of one type may be linked to an input of the other, as the editor has it."""
    if "*" in (one, other) or "" in (one, other):
        return True
    return bool({part.lower() for part in one.split(",")} & {part.lower() for part in other.split(",")})
