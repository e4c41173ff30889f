"""The nodes that can run here: the pack's own, and stand-ins for the host's few."""

import inspect
from dataclasses import dataclass
from typing import Any, Self

from ..nodes import NODES
from ..nodes.host import standalone
from .core_nodes import Workspace, host_nodes
from .graph import Info, Node

Nodes = dict[str, type[standalone.io.ComfyNode]]


@dataclass(frozen=True)
class Catalogue:
    """Node classes by id, and what each says about itself (as the editor's /object_info)."""

    classes: Nodes
    infos: dict[str, Info]

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """Every node, with the host's stand-ins reading and writing in `workspace`. Needs an active session."""
        classes = {node.GET_SCHEMA().node_id: node for node in (*NODES, *host_nodes(workspace))}
        return cls(classes, {id: node.GET_NODE_INFO_V1() for id, node in classes.items()})

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
