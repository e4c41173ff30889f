"""The editor's form of a workflow as plain data: pages of nodes and links, of any version of the file.

A page is the sheet itself, or the inside of a subgraph. Nothing is resolved here; `editor` does that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..svd.errors import InputError
from .text import printable, shortened

MUTED, BYPASSED = 2, 4  # a node's "mode" when it is switched off


@dataclass(frozen=True)
class Socket:
    """One input of a drawn node. link: the id of the link that ends here. has_widget: it is also a box to type in."""

    name: str
    type: str
    link: str | None = None
    has_widget: bool = False


@dataclass(frozen=True)
class Drawn:
    """One node of a page. `str(node)` is how messages name it."""

    id: str
    kind: str
    title: str
    mode: int
    sockets: tuple[Socket, ...]
    outputs: tuple[str, ...]  # their types
    values: Any  # of its widgets: a list in their order, or by name
    named_values: Any  # the same by name, as newer editors add it
    properties: Mapping[str, Any]

    def __str__(self) -> str:
        return f'Node {shortened(self.id)} "{shortened(self.title)}"'


@dataclass(frozen=True)
class Wire:
    """A link: where it comes from, and which input it goes to. An `origin` or `target` may be an end of the page."""

    origin: str
    slot: int
    target: str
    target_slot: int


@dataclass(frozen=True)
class End:
    """One input or output of a subgraph: what it is called, and the links inside that begin or end there."""

    name: str
    type: str
    links: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """A sheet of nodes. The ends and their ids are those of a subgraph."""

    nodes: Mapping[str, Drawn]
    wires: Mapping[str, Wire]
    name: str = ""
    inputs: tuple[End, ...] = ()
    outputs: tuple[End, ...] = ()
    input_end: str = ""
    output_end: str = ""


@dataclass(frozen=True)
class Drawing:
    """A whole workflow: its sheet, and the insides of its subgraphs by id."""

    page: Page
    subgraphs: Mapping[str, Page] = field(default_factory=dict)


def read_drawing(document: Mapping[str, Any], names: Mapping[str, str]) -> Drawing:
    """Reads what the editor's Save has written. names: what a node of each kind is called where it has no title.

    Raises:
        InputError: something in it is not what the editor writes there.
    """
    subgraphs: dict[str, Page] = {}
    waiting = [document]
    while waiting:  # older files hold definitions in definitions
        definitions = _map(waiting.pop().get("definitions") or {}, "definitions")
        for entry in _list(definitions.get("subgraphs"), "subgraphs"):
            inside = _map(entry, "subgraphs")
            subgraphs[_text(inside.get("id"), "a subgraph's id")] = _subgraph(inside)
            waiting.append(inside)
    names = {**names, **{id: page.name for id, page in subgraphs.items()}}
    return Drawing(_named(_page(document), names), {id: _named(page, names) for id, page in subgraphs.items()})


def _named(page: Page, names: Mapping[str, str]) -> Page:
    titled = {
        id: replace(node, title=node.title or names.get(node.kind) or node.kind) for id, node in page.nodes.items()
    }
    return replace(page, nodes=titled)


def _subgraph(inside: Mapping[str, Any]) -> Page:
    page = _page(inside)
    ends = [_map(inside.get(name) or {}, name).get("id", default) for name, default in _ENDS]
    return Page(
        page.nodes,
        page.wires,
        shortened(inside.get("name") or inside["id"]),
        tuple(_end(entry) for entry in _list(inside.get("inputs"), "inputs")),
        tuple(_end(entry) for entry in _list(inside.get("outputs"), "outputs")),
        _id(ends[0], "a subgraph's input"),
        _id(ends[1], "a subgraph's output"),
    )


_ENDS = (("inputNode", -10), ("outputNode", -20))


def _end(entry: Any) -> End:
    told = _map(entry, "a subgraph's inputs or outputs")
    links = tuple(_id(link, "a link") for link in _list(told.get("linkIds"), "linkIds"))
    return End(_text(told.get("name"), "a subgraph's input or output"), _type(told.get("type")), links)


def _page(document: Mapping[str, Any]) -> Page:
    nodes: dict[str, Drawn] = {}
    for entry in _list(document.get("nodes"), "nodes"):
        node = _node(_map(entry, "nodes"))
        if node.id in nodes:
            raise _damaged(f"two nodes have the id {shortened(node.id)}")
        nodes[node.id] = node
    wires = [_wire(entry) for entry in _list(document.get("links"), "links") if entry is not None]
    return Page(nodes, dict(wires))


def _node(entry: Mapping[str, Any]) -> Drawn:
    id = _id(entry.get("id"), "a node")
    where = f"node {shortened(id)}"
    mode = entry.get("mode") or 0
    title = entry.get("title") or ""
    properties = entry.get("properties") or {}
    return Drawn(
        id,
        _text(entry.get("type"), f"the type of {where}"),
        title if isinstance(title, str) else printable(title),
        mode if isinstance(mode, int) else 0,
        tuple(_socket(_map(socket, where), where) for socket in _list(entry.get("inputs"), where)),
        tuple(_type(_map(output, where).get("type")) for output in _list(entry.get("outputs"), where)),
        entry.get("widgets_values"),
        entry.get("widgets_values_named"),
        properties if isinstance(properties, dict) else {},
    )


def _socket(entry: Mapping[str, Any], where: str) -> Socket:
    link = entry.get("link")
    name = _text(entry.get("name"), f"the name of an input of {where}")
    return Socket(
        name,
        _type(entry.get("type")),
        None if link is None else _id(link, f"a link of {where}"),
        bool(entry.get("widget")),
    )


def _wire(entry: Any) -> tuple[str, Wire]:
    """A link as older files have it, a list, or as newer ones, with names."""
    if isinstance(entry, dict):
        parts = [entry.get(name) for name in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    else:
        parts = _list(entry, "links")[:5]
    if len(parts) < 5:
        raise _damaged("a link lacks an end")
    id, origin, slot, target, target_slot = parts
    return _id(id, "a link"), Wire(_id(origin, "a link"), _slot(slot), _id(target, "a link"), _slot(target_slot))


def _id(value: Any, what: str) -> str:
    """Ids are whole numbers, or texts in some versions; 5, 5.0 and "5" are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _damaged(f"{shortened(value)} stands for the id of {what}")
    return str(value)


def _slot(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise _damaged(f"{shortened(value)} stands for the number of an input or output") from None


def _type(value: Any) -> str:
    """The type of a socket; a list of choices is a combo, and what is none of these takes anything."""
    if isinstance(value, list):
        return "COMBO"
    return value if isinstance(value, str) and value else "*"


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _damaged(f"{shortened(value)} stands for {what}")
    return value


def _map(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _damaged(f"{shortened(value)} stands in {where}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _damaged(f"{shortened(value)} stands in {where}")
    return value


def _damaged(what: str) -> InputError:
    return InputError(f"This workflow is damaged ({what}); save it again from the editor.")
