"""A workflow in the API format, read into plain data.

The format is what the editor's "Export (API)" writes and what its queue takes: one JSON object, a node's id to
`{"class_type": ..., "inputs": {name: value or [node id, output index]}, "_meta": {"title": ...}}`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from ..svd.errors import InputError

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
        return f'Node {self.id} "{self.title}"'

    @property
    def links(self) -> dict[str, Link]:
        """The connected inputs by name. A list that is no pair is left for `check` to report."""
        pairs = {name: value for name, value in self.inputs.items() if isinstance(value, list) and len(value) == 2}
        return {name: Link(str(source), output) for name, (source, output) in pairs.items()}


Graph = dict[str, Node]


BUNDLED = Path(__file__).resolve().parents[1] / "workflows" / "api"  # what `svd-nodes run quickstart` finds


def read_document(path: Path) -> dict[str, Any]:
    """Reads a workflow file as JSON. A bare name that is no file here means one of the pack's own workflows.

    Raises:
        InputError: the file is missing, cannot be read, or is no JSON object.
    """
    own = BUNDLED / f"{path}.json"
    if not path.exists() and own.parent == BUNDLED and own.is_file():
        path = own
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"There is no workflow at {path}; check the path.") from None
    except OSError as error:
        raise InputError(f"The workflow {path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a workflow: it holds no text; give the .json file.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON ({error.msg} in line {error.lineno}); export it again.") from None
    except RecursionError:
        raise InputError(f"{path} is not a workflow: its brackets are nested too deep; export it again.") from None
    if not isinstance(document, dict) or not document:
        raise InputError(f"{path} is not a workflow: it holds no nodes; export it again from the editor.")
    return document


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
            raise InputError(f'Node {id} has no "class_type"; export the workflow again with "Export (API)".')
        inputs = entry.get("inputs", {})
        if not isinstance(inputs, dict):
            raise InputError(f'The "inputs" of node {id} are not a JSON object; export the workflow again.')
        kind = entry["class_type"]
        meta = entry.get("_meta")
        title = (meta or {}).get("title") if isinstance(meta, dict) else None
        title = title or infos.get(kind, {}).get("display_name") or kind
        graph[str(id)] = Node(str(id), kind, str(title), {k: _unwrapped(v) for k, v in inputs.items()})
    return graph


def _unwrapped(value: Any) -> Any:
    """A value that is itself a list travels as {"__value__": [...]}, because a plain list is a link."""
    return value["__value__"] if isinstance(value, dict) and set(value) == {"__value__"} else value


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
