"""Stand-ins for the host's own nodes that hold one value: the same ids, inputs and outputs."""

import sys
from typing import Any

from ..nodes.host.standalone import io


class Primitive(io.ComfyNode):
    """One value, given on as it is."""

    NAME: str
    WIRE: io.WireType
    OPTIONS: dict[str, Any] = {}  # noqa: RUF012 (read only)

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id=cls.__name__,
            display_name=cls.NAME,
            category="utilities/primitive",
            inputs=[cls.WIRE.Input("value", **cls.OPTIONS)],
            outputs=[cls.WIRE.Output()],
        )

    @classmethod
    def execute(cls, value: Any) -> io.NodeOutput:
        return io.NodeOutput(value)


class PrimitiveInt(Primitive):
    NAME = "Int"
    WIRE = io.Int
    OPTIONS = {"min": -sys.maxsize, "max": sys.maxsize, "control_after_generate": True}  # noqa: RUF012 (read only)


class PrimitiveFloat(Primitive):
    NAME = "Float"
    WIRE = io.Float
    OPTIONS = {"min": -sys.maxsize, "max": sys.maxsize}  # noqa: RUF012 (read only)


class PrimitiveString(Primitive):
    NAME = "Text"
    WIRE = io.String


class PrimitiveStringMultiline(Primitive):
    NAME = "Text (Multiline)"
    WIRE = io.String


class PrimitiveBoolean(Primitive):
    NAME = "Boolean"
    WIRE = io.Boolean


PRIMITIVES = (PrimitiveInt, PrimitiveFloat, PrimitiveString, PrimitiveStringMultiline, PrimitiveBoolean)
