"""Where an input of a drawn node really takes its value from: through bypassed nodes, reroutes and subgraphs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..svd.errors import InputError
from .drawing import BYPASSED, MUTED, Drawing, Drawn, Socket
from .graph import Info, fits
from .subgraphs import PRIMITIVE, REROUTE, Instance, Instances
from .text import shortened
from .values import specs
from .widgets import read_widgets


@dataclass(frozen=True)
class Source:
    """An output of a node that runs."""

    node: str
    output: int


@dataclass(frozen=True)
class Value:
    """A value that stands elsewhere: on a primitive, or on the outside of a subgraph."""

    value: Any


@dataclass(frozen=True)
class Cut:
    """Nothing comes, because of a node that is switched off."""

    by: str


@dataclass(frozen=True)
class _Spot:
    """An input (or output) of a node in an instance, and the type that is wanted there."""

    instance: Instance
    node: Drawn
    slot: int
    type: str
    is_input: bool

    @property
    def key(self) -> tuple[Any, ...]:
        return self.instance.path, self.node.id, self.slot, self.is_input


Found = Source | Value | Cut | None


class Resolver:
    """Answers for every input of a workflow. infos: what nodes of known kinds have for inputs and outputs."""

    def __init__(self, drawing: Drawing, instances: Instances, infos: Mapping[str, Info]) -> None:
        self._subgraphs = drawing.subgraphs
        self._instances = instances
        self._infos = infos

    def sources(self, instance: Instance, node: Drawn) -> Iterator[tuple[str, Found]]:
        """Each linked input of a node, by name, and what it takes: None where nothing is."""
        types = {socket.name: socket.type for socket in self._inputs(node)}
        for slot, socket in enumerate(node.sockets):
            if socket.link is not None:
                yield socket.name, self._follow(_Spot(instance, node, slot, types.get(socket.name, socket.type), True))

    def _follow(self, spot: _Spot) -> Found:
        """Walks up the links.

        Raises:
            InputError: they go round in a circle.
        """
        seen = set()
        blame: Cut | None = None
        while True:
            if spot.key in seen:
                raise InputError(f"{spot.node} feeds itself; remove one of the links of this circle.")
            seen.add(spot.key)
            if not spot.is_input and spot.node.mode == BYPASSED:
                blame = Cut(f"{spot.instance.named(spot.node)}, which is bypassed")
            step = self._up(spot) if spot.is_input else self._across(spot)
            if not isinstance(step, _Spot):
                return step or blame
            spot = step

    def _up(self, spot: _Spot) -> "_Spot | Found":
        """From an input to the output that its link begins at, or out of the subgraph."""
        if spot.slot >= len(spot.node.sockets):
            return None
        socket = spot.node.sockets[spot.slot]
        if socket.link is None:
            return None
        instance = spot.instance
        wire = instance.page.wires.get(socket.link)
        if wire is None:
            instance.notes.append(
                f"{self._input(spot)} is linked by link {shortened(socket.link)}, which is not in the file."
            )
            return None
        if instance.host is not None and wire.origin == instance.page.input_end:
            return self._out(instance, wire.slot)
        origin = instance.page.nodes.get(wire.origin)
        if origin is None:
            instance.notes.append(
                f"{self._input(spot)} is linked to node {shortened(wire.origin)}, which is not in the file."
            )
            return None
        return _Spot(instance, origin, wire.slot, spot.type, False)

    def _input(self, spot: _Spot) -> str:
        return f"{spot.node}: {shortened(spot.node.sockets[spot.slot].name)}"

    def _out(self, instance: Instance, slot: int) -> "_Spot | Found":
        """From an input of a subgraph to what is linked there outside, or to the value that stands there."""
        host, parent = instance.host, instance.parent
        outside = instance.outside(slot)
        if host and parent and outside is not None and host.sockets[outside].link is not None:
            return _Spot(parent, host, outside, host.sockets[outside].type, True)
        return Value(instance.values[slot]) if slot in instance.values else None

    def _across(self, spot: _Spot) -> "_Spot | Found":
        """From an output to what makes it: the node itself, or what it hands on."""
        node, instance = spot.node, spot.instance
        if node.kind == PRIMITIVE:  # which the editor heeds even where it is switched off
            return self._primitive(instance, node)
        if node.mode == MUTED:
            return Cut(f"{instance.named(node)}, which is muted")
        if node.mode == BYPASSED:
            return self._past(spot)
        if (inside := self._instances.get((*instance.path, node.id))) is not None:
            return self._into(spot, inside)
        if node.kind == REROUTE:
            return _Spot(instance, node, 0, spot.type, True)
        return Source(instance.id_of(node), spot.slot)

    def _primitive(self, instance: Instance, node: Drawn) -> Value | None:
        own = instance.values_of(node)
        listed = list(own.values()) or (node.values if isinstance(node.values, list) else [])
        return Value(listed[0]) if listed and listed[0] is not None else None

    def _into(self, spot: _Spot, inside: Instance) -> "_Spot | Found":
        """From an output of a subgraph to what its first link inside begins at."""
        page = inside.page
        if not 0 <= spot.slot < len(page.outputs):
            return None
        wire = next((page.wires[link] for link in page.outputs[spot.slot].links if link in page.wires), None)
        if wire is None:
            return None
        if wire.origin == page.input_end:
            return self._out(inside, wire.slot)
        origin = page.nodes.get(wire.origin)
        return _Spot(inside, origin, wire.slot, spot.type, False) if origin else None

    def _past(self, spot: _Spot) -> "_Spot | Found":
        """From an output of a bypassed node to the input it hands on: of the same number, else of the same type."""
        names = [socket.name for socket in spot.node.sockets]
        inputs = self._inputs(spot.node)
        slot = self._fitting(inputs, spot)
        if slot is None or inputs[slot].name not in names:
            return None
        return _Spot(spot.instance, spot.node, names.index(inputs[slot].name), inputs[slot].type, True)

    def _fitting(self, inputs: list[Socket], spot: _Spot) -> int | None:
        wanted, own = spot.type, self._output_type(spot.node, spot.slot)
        if wanted == "*":
            return spot.slot if len(inputs) > spot.slot else 0 if inputs else None
        both = [slot for slot, each in enumerate(inputs) if fits(each.type, own) and fits(each.type, wanted)]
        if spot.slot in both:
            return spot.slot
        exact = [slot for slot, each in enumerate(inputs) if each.type == wanted]
        return next(iter([*exact, *both]), None)

    def _inputs(self, node: Drawn) -> list[Socket]:
        """A node's inputs in the editor's order: sockets first, then widgets; then those only the file knows."""
        info = self._infos.get(node.kind)
        if page := self._subgraphs.get(node.kind):
            return [Socket(end.name, end.type) for end in page.inputs]
        if info is None:
            return list(node.sockets)
        known = specs(info, read_widgets(info, node.values, node.named_values).values)
        ordered = sorted(known.values(), key=lambda spec: spec.is_widget)
        defined = [Socket(spec.name, spec.type) for spec in ordered]
        return [*defined, *(socket for socket in node.sockets if socket.name not in known)]

    def _output_type(self, node: Drawn, slot: int) -> str:
        info = self._infos.get(node.kind)
        if page := self._subgraphs.get(node.kind):
            return page.outputs[slot].type if 0 <= slot < len(page.outputs) else "*"
        outputs = ["COMBO" if isinstance(type, list) else str(type) for type in info["output"]] if info else []
        outputs += node.outputs[len(outputs) :]
        return outputs[slot] if 0 <= slot < len(outputs) else "*"
