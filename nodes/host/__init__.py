"""The one place that decides which host the nodes live in: the editor if its API is loaded, else none.

The editor has always imported `comfy_api` before it looks at packs. Being able to import it is not enough: a command
line started in the editor's folder could.
"""

import sys
from typing import TYPE_CHECKING

from .supported import supported
from .work import Work

if TYPE_CHECKING or "comfy_api" not in sys.modules:
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
else:
    from .comfyui import (
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
