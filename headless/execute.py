"""Running a checked workflow in this process, each node once, with nothing kept longer than some node needs it."""

from collections import Counter
from pathlib import Path
from typing import Any, Protocol

from ..nodes.host.standalone import advising
from ..svd.errors import InputError, NonFiniteError
from .catalogue import Catalogue
from .graph import Graph, Node, needed, order

Results = dict[tuple[str, int], Any]  # (node id, output index) -> value


class Watch(Protocol):
    """Who is told how far the work has come."""

    def started(self, name: str, position: int, count: int) -> None: ...
    def stepped(self, step: int, total: int, denoised: Any = None) -> None: ...
    def finished(self) -> None: ...


def execute(graph: Graph, catalogue: Catalogue, watch: Watch) -> list[Path]:
    """Runs every node that an output node needs.

    Args:
        graph: what `check.review` lets run.
        watch: told about each node; the steps within a node reach it through the session's `on_progress`.

    Returns: the files that were written.
    Raises:
        InputError, NonFiniteError, MemoryError: from a node, with the node's name in front.
    """
    outputs = [id for id, node in graph.items() if catalogue.infos[node.class_type]["output_node"]]
    nodes = order(needed(graph, outputs))
    uses = Counter((link.node, link.output) for node in nodes for link in node.links.values())
    results: Results = {}
    written: list[Path] = []
    for position, node in enumerate(nodes, 1):
        watch.started(node.title, position, len(nodes))
        written += _run(node, catalogue, results, uses)
        uses.subtract((link.node, link.output) for link in node.links.values())
        results = {key: value for key, value in results.items() if uses[key]}
        watch.finished()
    return written


def _run(node: Node, catalogue: Catalogue, results: Results, uses: Counter[tuple[str, int]]) -> list[Path]:
    """Runs one node, and puts into `results` those of its outputs that something will use. Returns files it wrote."""
    inputs = catalogue.values(node) | {name: results[link.node, link.output] for name, link in node.links.items()}
    try:
        with advising("There is not enough memory: use a smaller size or fewer frames."):
            given = catalogue.classes[node.class_type].execute(**inputs)
    except (InputError, NonFiniteError, MemoryError) as error:
        raise type(error)(f"{node}: {error}") from error
    results |= {(node.id, i): value for i, value in enumerate(given.args) if uses[node.id, i]}
    return (given.ui or {}).get("files", [])
