"""The nodes that can run here: the pack's own, and stand-ins for the host's few."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from ..nodes import NODES
from ..nodes.host import standalone
from .core_nodes import HostNode, Workspace, host_nodes
from .graph import Info, Node
from .values import specs, typed

Nodes = dict[str, type[standalone.io.ComfyNode]]


@dataclass(frozen=True)
class Catalogue:
    """Node classes by id, and what each says about itself (as the editor's /object_info)."""

    classes: Nodes
    infos: dict[str, Info]
    core: frozenset[str] = frozenset()  # those that stand in for the host's own

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """Every node, with the host's stand-ins reading and writing in `workspace`. Needs an active session."""
        core = {node.GET_SCHEMA().node_id: node for node in host_nodes(workspace)}
        classes = {node.GET_SCHEMA().node_id: node for node in NODES} | core
        return cls(classes, {id: node.GET_NODE_INFO_V1() for id, node in classes.items()}, frozenset(core))

    def has_defaults(self, kind: str) -> bool:
        """Whether what a workflow lacks is filled in: of the host's nodes, as each version of it has others."""
        return kind in self.core

    def neutral(self, kind: str) -> Mapping[str, tuple[Any, ...]]:
        """Inputs that only the editor's node heeds, with the values that ask for what is done here anyway."""
        node = self.classes[kind]
        return node.NEUTRAL if issubclass(node, HostNode) else {}

    def values(self, node: Node) -> dict[str, Any]:
        """What a sound node is given: the values of its widgets, each in its type; what is linked comes later."""
        known, neutral = specs(self.infos[node.class_type], node.inputs), self.neutral(node.class_type)
        values: dict[str, Any] = {}
        for name, spec in known.items():
            if name in node.inputs and name not in node.links and name not in neutral:
                values[name] = typed(spec, node.inputs[name])
            elif name not in node.inputs and self.has_defaults(node.class_type) and spec.required and spec.is_widget:
                values[name] = spec.default
        return values

    def checks_itself(self, kind: str) -> set[str]:
        """The inputs whose choices the node checks by its own rules, not by the list it shows."""
        return set(inspect.signature(self.classes[kind].validate_inputs).parameters)

    def problem(self, node: Node) -> str | None:
        """What the node's own check says of its values; linked inputs, not known yet, count as None."""
        known = self.checks_itself(node.class_type)
        values: dict[str, Any] = {
            n: None if n in node.links else node.inputs.get(n) for n in known - {"args", "kwargs"}
        }
        return standalone.problem(self.classes[node.class_type], values)
