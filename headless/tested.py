"""The editors that this pack is tested with, and which one is here."""

import os
import re
from pathlib import Path

from ..nodes.host.folders import comfy_cli_folder

TESTED = ("0.3.64", "0.33.0")
"""ComfyUI's versions that the tests are run with, the oldest first."""

VERSION = re.compile(r"""^__version__\s*=\s*["']([^"']+)["']""", re.MULTILINE)


def checkouts() -> list[Path]:
    """Where editors are expected: in the folders of $COMFYUI_PATH, else where comfy-cli puts one."""
    if named := os.environ.get("COMFYUI_PATH"):
        return [Path(folder) for folder in named.split(os.pathsep) if folder]
    folder = comfy_cli_folder()
    return [folder] if folder else []


def version_of(editor: Path) -> str:
    """The version of a checkout. It is read and not run."""
    found = VERSION.search((editor / "comfyui_version.py").read_text(encoding="utf-8"))
    return found[1] if found else "unknown"


def comparison(version: str) -> str:
    """How a version of the editor stands to those tested."""
    if version in TESTED:
        return "tested with this pack"
    try:
        number, *tested = (tuple(map(int, text.split("."))) for text in (version, *TESTED))
    except ValueError:
        return "no version that can be compared"
    if number < tested[0]:
        return f"older than {TESTED[0]}, which this pack needs"
    if number > tested[-1]:
        return f"newer than {TESTED[-1]}, the newest tested"
    return "not tested itself; older and newer ones are"
