"""A small stand-in for `comfy_api`'s `io`: the part of the V3 node API that our nodes use, under the same names.

With it the node classes define themselves, check their widgets and run without the editor, and what they say about
themselves equals the editor's `/object_info`.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Input:
    """One input of a node. `widget` holds what the editor is told about its widget: default, min, max, options, ..."""

    io_type: str
    id: str
    display_name: str | None = None
    optional: bool = False
    tooltip: str | None = None
    advanced: bool | None = None
    widget: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        told = {"display_name": self.display_name, "tooltip": self.tooltip, "advanced": self.advanced, **self.widget}
        return {key: value for key, value in told.items() if value is not None}


@dataclass(frozen=True)
class Output:
    """One output of a node."""

    io_type: str
    id: str | None = None
    display_name: str | None = None
    tooltip: str | None = None
    is_output_list: bool = False


class WireType:
    """A type of wire: `Int.Input("steps", default=25, min=1)`, `Image.Output(tooltip="...")`."""

    def __init__(self, io_type: str, *settings: str, **always: Any) -> None:
        self.io_type = io_type
        self._settings = settings
        self._always = always

    def Input(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        advanced: bool | None = None,
        **widget: Any,
    ) -> Input:
        if unknown := set(widget) - set(self._settings):
            raise TypeError(f"An input of type {self.io_type} has no setting called {', '.join(sorted(unknown))}.")
        return Input(self.io_type, id, display_name, optional, tooltip, advanced, self._always | widget)

    def Output(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> Output:
        return Output(self.io_type, id, display_name, tooltip, is_output_list)


Int = WireType("INT", "default", "min", "max", "step", "control_after_generate")
Float = WireType("FLOAT", "default", "min", "max", "step", "round")
String = WireType("STRING", "default", "multiline", "placeholder", multiline=False)
Boolean = WireType("BOOLEAN", "default")
Combo = WireType("COMBO", "options", "default", multiselect=False)
Image = WireType("IMAGE")
Mask = WireType("MASK")
Latent = WireType("LATENT")
Sigmas = WireType("SIGMAS")
Audio = WireType("AUDIO")
Video = WireType("VIDEO")


def Custom(io_type: str) -> WireType:
    """A wire type of the pack's own."""
    return WireType(io_type)


@dataclass(frozen=True)
class Schema:
    """What a node says about itself."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_output_node: bool = False


class NodeOutput:
    """What `execute` returns: one value per output."""

    def __init__(self, *args: Any, ui: dict[str, Any] | None = None) -> None:
        self.args = args
        self.ui = ui

    @property
    def result(self) -> tuple[Any, ...] | None:
        return self.args or None

    def __getitem__(self, index: int) -> Any:
        return self.args[index]


class ComfyNode:
    """The base of every node class. All its methods are class methods: a node keeps no state."""

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError

    @classmethod
    def execute(cls, *args: Any, **kwargs: Any) -> NodeOutput:
        raise NotImplementedError

    @classmethod
    def validate_inputs(cls, *args: Any, **kwargs: Any) -> bool | str:
        """True, or one sentence that says what is wrong. Takes the inputs it names; a linked one comes as None."""
        return True

    @classmethod
    def fingerprint_inputs(cls, *args: Any, **kwargs: Any) -> Any:
        """A value that changes when the node must run again although its inputs did not change."""
        return None

    @classmethod
    def GET_SCHEMA(cls) -> Schema:
        return cls.define_schema()

    @classmethod
    def GET_NODE_INFO_V1(cls) -> dict[str, Any]:
        """The node as the editor's `/object_info` shows it."""
        schema = cls.define_schema()
        inputs: dict[str, dict[str, Any]] = {"required": {}}
        for i in schema.inputs:
            inputs.setdefault("optional" if i.optional else "required", {})[i.id] = (i.io_type, i.as_dict())
        if schema.is_output_node:
            inputs["hidden"] = {"prompt": ("PROMPT",), "extra_pnginfo": ("EXTRA_PNGINFO",)}
        return {
            "input": inputs,
            "input_order": {group: list(members) for group, members in inputs.items()},
            "output": [o.io_type for o in schema.outputs],
            "output_is_list": [o.is_output_list for o in schema.outputs],
            "output_name": [o.display_name or o.io_type for o in schema.outputs],
            "output_tooltips": [o.tooltip for o in schema.outputs],
            "name": schema.node_id,
            "display_name": schema.display_name,
            "description": schema.description,
            "python_module": "svd_nodes",
            "category": schema.category,
            "output_node": schema.is_output_node,
            "deprecated": False,
            "experimental": False,
            "api_node": False,
            "search_aliases": schema.search_aliases or None,
        }
