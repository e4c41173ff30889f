"""The node classes, one job a file. They unwrap wires, call one function of `svd`, and wrap the result."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .extension import NODES as NODES
    from .extension import Extension as Extension


def __getattr__(name: str) -> Any:
    """The nodes come with torch. What needs no torch, such as `host.folders`, is had without them."""
    if name in ("NODES", "Extension"):
        return getattr(import_module(".extension", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
