"""How our nodes are found, and which of their inputs are for experts: told to editors that are new enough to know."""

from typing import Any

from .host import io, supported

ADVANCED = supported(io.Float.Input, advanced=True)
"""An input that few change: Nodes 2.0 folds it away."""


def found_by(*words: str) -> dict[str, Any]:
    """What people type who look for the node; the search knows its name by itself."""
    return supported(io.Schema, search_aliases=list(words))
