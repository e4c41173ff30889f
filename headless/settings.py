"""`--set NODE.input=value`: a workflow's values, changed from a command line."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ..svd.errors import InputError
from .document import strict
from .editor import Export, export
from .graph import Graph, Info, Node, is_editor_form, parse
from .values import from_text, specs

log = logging.getLogger("svd_nodes")

Change = tuple[str, str, Any]  # node id, input, value


def read_workflow(document: Mapping[str, Any], infos: Mapping[str, Info]) -> Export:
    """A workflow of either form, or the body of a POST /prompt, as the API form, and what was passed over.

    infos: what the nodes say about themselves, as in the editor's /object_info.
    """
    if is_editor_form(document):
        return export(document, infos)
    wrapped = document.get("prompt")
    prompt = wrapped if isinstance(wrapped, dict) and "class_type" not in wrapped else document
    return Export({id: _entry(entry) for id, entry in prompt.items()})


def _entry(entry: Any) -> Any:
    """A node without the notes that a server keeps on it, such as "is_changed"."""
    if not isinstance(entry, dict):
        return entry
    return strict({key: value for key, value in entry.items() if key in ("class_type", "inputs", "_meta")})


def read_prompt(document: Mapping[str, Any], infos: Mapping[str, Info]) -> dict[str, Any]:
    """As `read_workflow`; what was passed over is told in the log."""
    read = read_workflow(document, infos)
    for note in read.notes:
        log.warning(note)
    return read.prompt


def changed(prompt: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """A workflow in the API form with other values. The one given stays as it is."""
    result = dict(prompt)
    for id, name, value in changes:
        result[id] = {**result[id], "inputs": {**result[id].get("inputs", {}), name: value}}
    return result


def check_settings(settings: Iterable[str], document: Mapping[str, Any]) -> None:
    """InputError on what can be refused without knowing what nodes have: the form of each, and a node's name.

    The name is looked at where the workflow itself tells every node's title.
    """
    prompt = {} if is_editor_form(document) else read_prompt(document, {})
    graph = parse(prompt, {})
    told = bool(graph) and all(entry.get("_meta") for entry in prompt.values())
    for setting in settings:
        who, _, _ = _parts(setting, graph)
        if told:
            _node(setting, who, graph)


def read_setting(setting: str, graph: Graph, infos: Mapping[str, Info]) -> Change:
    """Reads NODE.input=value; the value comes out in the input's type. InputError if it names no value."""
    who, name, text = _parts(setting, graph)
    node = _node(setting, who, graph)
    if node.class_type == "StableVideoSample" and name == "steps" and "sigmas" in node.links:
        source = node.links["sigmas"].node
        raise InputError(
            f'"--set {setting}" would have no effect, as the sigmas of node {source} are connected; '
            f'use "--set {source}.steps={text}".'
        )
    known = specs(infos[node.class_type], node.inputs) if node.class_type in infos else {}
    boxes = [spec.name for spec in known.values() if spec.is_widget]
    if name not in boxes:
        close = get_close_matches(name, boxes, n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise InputError(f'"--set {setting}": {node} has no value "{name}"; it has {", ".join(boxes) or "none"}{hint}')
    try:
        return node.id, name, from_text(known[name], text)
    except InputError as clause:
        raise InputError(f'"--set {setting}": {name} {clause}.') from None


def _parts(setting: str, graph: Graph) -> tuple[str, str, str]:
    """Node, input and value. An input inside a choice has a dot in its name, too: SaveVideo.format.codec=h264."""
    target, equals, text = setting.partition("=")
    who, dot, name = target.strip().rpartition(".")
    if not (equals and dot and who and name):
        raise InputError(
            f'"--set {setting}" is not of the form NODE.input=value, such as "SaveVideo.filename_prefix=clip".'
        )
    outer, inner = who, name
    while dot and not _called(outer, graph):
        outer, dot, head = outer.rpartition(".")
        inner = f"{head}.{inner}"
    return (outer, inner, text) if dot else (who, name, text)


def _called(who: str, graph: Graph) -> list[Node]:
    """The nodes of this id, title or kind."""
    wanted = who.casefold()
    if who in graph:
        return [graph[who]]
    return [node for node in graph.values() if wanted in (node.title.casefold(), node.class_type.casefold())]


def _node(setting: str, who: str, graph: Graph) -> Node:
    """The one node of this id, title or kind."""
    nodes = _called(who, graph)
    if len(nodes) != 1:
        raise InputError(f'"--set {setting}": {_not_one(who, nodes, graph)}')
    return nodes[0]


def _not_one(who: str, nodes: Sequence[Node], graph: Graph) -> str:
    """Why a name is not that of one node, and what to do."""
    names = {name.casefold(): name for node in graph.values() for name in (node.title, node.class_type)}
    if not nodes and (close := get_close_matches(who.casefold(), names, n=1)):
        return f'no node is called "{who}"; did you mean {names[close[0]]}?'
    what = f"{len(nodes)} nodes are" if nodes else "no node is"
    choices = ", ".join(f'{node.id} "{node.title}" ({node.class_type})' for node in nodes or graph.values())
    return f'{what} called "{who}"; use one of these ids: {choices}.'
