"""The one place that decides which host the nodes live in: the editor if its API is loaded, else none.

The editor has always imported `comfy_api` before it looks at packs. Being able to import it is not enough: a command
line started in the editor's folder could.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .supported import supported
from .work import Work

if TYPE_CHECKING:
    from .standalone import (
        ComfyExtension,
        Network,
        checkpoint_names,
        checkpoint_path,
        device_memory,
        free_memory,
        heed_cancel,
        io,
        ops,
        precision,
        progress,
        result_device,
        seconds_for,
        serve_page,
        storage_device,
        work_device,
    )


__all__ = [
    "ComfyExtension",
    "Network",
    "Work",
    "checkpoint_names",
    "checkpoint_path",
    "device_memory",
    "free_memory",
    "heed_cancel",
    "io",
    "ops",
    "precision",
    "progress",
    "result_device",
    "seconds_for",
    "serve_page",
    "storage_device",
    "supported",
    "work_device",
]


def __getattr__(name: str) -> Any:
    """A host comes with torch, at the first use of one of its names. `folders` is had without."""
    if name in __all__:
        return getattr(import_module(".comfyui" if "comfy_api" in sys.modules else ".standalone", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
