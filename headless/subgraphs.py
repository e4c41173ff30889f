"""Subgraphs, laid open: each node that stands for one is an instance of a page, with the values promoted to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..svd.errors import InputError
from .drawing import BYPASSED, MUTED, Drawing, Drawn, End, Page
from .graph import Info
from .text import shortened
from .widgets import CONTROLS, read_widgets

PRIMITIVE, REROUTE = "PrimitiveNode", "Reroute"
MOST = 20_000  # nodes, all instances counted
DEEPEST = 50  # subgraphs in subgraphs
_PREFIX = re.compile(r"\s*(\d+)\s*:\s*(.+)")  # "5: seed", as some versions name a nested promotion

Overrides = dict[tuple[str, str], Any]  # (id of a node on the page, widget) -> the value it has in this instance


@dataclass
class Instance:
    """A page as it stands in one place. path: the ids of the nodes it is inside of."""

    page: Page
    path: tuple[str, ...] = ()
    host: Drawn | None = None
    parent: "Instance | None" = None
    values: dict[int, Any] = field(default_factory=dict)  # of the page's inputs, where nothing is linked outside
    overrides: Overrides = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def id_of(self, node: Drawn) -> str:
        return ":".join((*self.path, node.id))

    def named(self, node: Drawn) -> str:
        """As messages name a node: with its whole path, as it is in the API form."""
        return f'node {shortened(self.id_of(node))} "{shortened(node.title)}"'

    def values_of(self, node: Drawn) -> dict[str, Any]:
        return {name: value for (id, name), value in self.overrides.items() if id == node.id}

    def outside(self, slot: int) -> int | None:
        """Which socket of the host is this input of the page: by name, as files may leave some out."""
        if self.host is None or not 0 <= slot < len(self.page.inputs):
            return None
        name = self.page.inputs[slot].name
        return next((i for i, socket in enumerate(self.host.sockets) if socket.name == name), None)


Instances = dict[tuple[str, ...], Instance]


def expand(drawing: Drawing, infos: Mapping[str, Info]) -> Instances:
    """The sheet and every subgraph in it that is not switched off, by path.

    Raises:
        InputError: a subgraph is inside of itself, or they make more nodes than anybody has drawn.
    """
    instances: Instances = {}
    known = _Promotions(drawing, infos)
    waiting = [(Instance(drawing.page), frozenset[str]())]
    count = 0
    while waiting:
        instance, around = waiting.pop()
        instances[instance.path] = instance
        count += len(instance.page.nodes)
        if count > MOST:
            raise InputError(f"This workflow has more than {MOST:,} nodes in its subgraphs; split it.")
        for node in instance.page.nodes.values():
            if node.kind not in drawing.subgraphs or node.mode in (MUTED, BYPASSED):
                continue
            if node.kind in around or len(around) > DEEPEST:
                raise InputError(f"{node} is a subgraph that is inside of itself; take it out of there.")
            waiting.append((_instance(node, instance, known), around | {node.kind}))
    return instances


def _instance(host: Drawn, parent: Instance, known: "_Promotions") -> Instance:
    """The inside of a node, with the values that stand on the node."""
    page = known.drawing.subgraphs[host.kind]
    inside = Instance(page, (*parent.path, host.id), host, parent)
    targets = known.targets(host.kind)
    inside.values = known.values(host, inside.notes)
    entries, listed = _proxies(host), _listed(host)
    for (source, name, *more), value in zip(entries, listed, strict=False):
        if value is not None:
            _promote(inside, known, targets, (source, name, *more), value)
    for name, value in parent.values_of(host).items():  # what is promoted further out
        _promote(inside, known, targets, ("", name), value)
    return inside


def _promote(
    inside: Instance, known: "_Promotions", targets: Mapping[int, "Target"], entry: tuple[str, ...], value: Any
) -> None:
    """A value on the outside for a widget inside: through the input that leads there, or by its name alone."""
    source, name, *more = entry
    slots = [slot for slot in targets if source in ("", "-1") and inside.page.inputs[slot].name == name]
    slots = slots or [slot for slot, t in targets.items() if t.widget == name and source in ("", t.node)]
    slots = slots or [slot for slot, t in targets.items() if t.widget == name and t.node in more]
    prefixed = _PREFIX.fullmatch(name)
    widget = prefixed[2] if prefixed else name
    if slots:
        inside.values[slots[0]] = value
    elif source in inside.page.nodes and known.has(inside.page.nodes[source], widget):
        inside.overrides[source, widget] = value
    elif value not in CONTROLS and not name.startswith("$$"):  # $$: a preview, which has no value
        inside.notes.append(f'{inside.host}: nothing inside takes its value "{shortened(name)}"; left out.')


def _proxies(host: Drawn) -> list[list[str]]:
    """The widgets that this node shows of those inside, [node id, widget], as editors of late 2025 wrote it."""
    entries = host.properties.get("proxyWidgets")
    entries = entries if isinstance(entries, list) else []
    return [[str(part) for part in entry] for entry in entries if isinstance(entry, list) and len(entry) > 1]


def _listed(host: Drawn) -> list[Any]:
    return host.values if isinstance(host.values, list) else []


@dataclass(frozen=True)
class Target:
    """The widget inside that an input of a page is, and the value it has there."""

    node: str
    widget: str
    value: Any


class _Promotions:
    """Which inputs of each page are widgets. Those of a page rest on those of the pages inside of it."""

    def __init__(self, drawing: Drawing, infos: Mapping[str, Info]) -> None:
        self.drawing = drawing
        self._infos = infos
        self._targets: dict[str, dict[int, Target]] = {}
        self._open: list[str] = []

    def targets(self, kind: str) -> dict[int, Target]:
        """By number of the page's input."""
        if kind in self._open or len(self._open) > DEEPEST:
            raise InputError(
                f"The subgraph {self.drawing.subgraphs[kind].name} is inside of itself; take it out of there."
            )
        if kind not in self._targets:
            self._open.append(kind)
            page = self.drawing.subgraphs[kind]
            found = {slot: self._target(page, end) for slot, end in enumerate(page.inputs)}
            self._targets[kind] = {slot: target for slot, target in found.items() if target}
            self._open.pop()
        return self._targets[kind]

    def values(self, host: Drawn, notes: list[str]) -> dict[int, Any]:
        """Of a node that stands for a page, the value of each input that is a widget, in their order on the node."""
        targets, listed = self.targets(host.kind), _listed(host)
        page = self.drawing.subgraphs[host.kind]
        named = host.values if isinstance(host.values, dict) else host.named_values
        if _proxies(host):
            listed = []  # which are in the order of these
        elif isinstance(named, dict) and (not listed or list(named.values()) == listed):
            listed = [named.get(page.inputs[slot].name) for slot in targets]
        left = [shortened(value) for value in listed[len(targets) :] if value is not None]
        if left:
            notes.append(f"{host}: no input of it takes {', '.join(left[:8])}; left out.")
        listed = [*listed, *[None] * len(targets)]
        return {
            slot: t.value if value is None else value for (slot, t), value in zip(targets.items(), listed, strict=False)
        }

    def has(self, node: Drawn, widget: str) -> bool:
        """Whether a node has this widget; taken for granted of kinds that are not known here."""
        if node.kind in self.drawing.subgraphs:
            return True
        info = self._infos.get(node.kind)
        return info is None or widget in read_widgets(info, node.values, node.named_values).values

    def _target(self, page: Page, end: End) -> Target | None:
        """Where the first link of an input leads, if that is a widget."""
        node, name = next(filter(None, (_step(page, link) for link in end.links)), (None, ""))
        if node is None:
            return None
        if node.kind in self.drawing.subgraphs:
            inner = self.drawing.subgraphs[node.kind]
            slots = [slot for slot in self.targets(node.kind) if inner.inputs[slot].name == name]
            return Target(node.id, name, self.values(node, [])[slots[0]]) if slots else None
        info = self._infos.get(node.kind)
        values = read_widgets(info, node.values, node.named_values).values if info else {}
        return Target(node.id, name, values[name]) if name in values else None


def _step(page: Page, link: str) -> tuple[Drawn, str] | None:
    wire = page.wires.get(link)
    node = page.nodes.get(wire.target) if wire else None
    sockets = node.sockets if node else ()
    return next(((node, socket.name) for socket in sockets if node and socket.link == link), None)
