"""Writes the templates into `workflows/`, their API twins into `workflows/api/`, and the blueprint into `subgraphs/`.

    python -m svd_nodes.tools.workflows

Run it when a node has got a new input, and after a change in `templates` or `blueprint`.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...headless.core_nodes import Workspace
from ...headless.editor import to_api
from . import core
from .blueprint import NAME, image_to_video
from .sheet import write
from .templates import TEMPLATES

ROOT = Path(__file__).resolve().parents[2]


def files(root: Path) -> Iterator[tuple[Path, dict[str, Any], int]]:
    """Every file under `root`: its path, what it holds, and its indentation."""
    with tempfile.TemporaryDirectory() as nothing:
        infos = core.infos(Workspace(Path(nothing)))
    for name, make in TEMPLATES.items():
        document = make(infos)
        yield root / "workflows" / f"{name}.json", document, 1
        yield root / "workflows" / "api" / f"{name}.json", _for_all_editors(to_api(document, infos)), 2
    yield root / "subgraphs" / f"{NAME}.json", image_to_video(infos), 1


def _for_all_editors(prompt: dict[str, Any]) -> dict[str, Any]:
    """With what comfy-cli asks for where Save Video is a newer editor's; older ones do not look at it."""
    for node in prompt.values():
        if node["class_type"] == "SaveVideo":
            node["inputs"]["format.codec"] = "auto"
    return prompt


def main(root: Path = ROOT) -> None:
    for path, document, indent in files(root):
        write(path, document, indent)
        print(path.relative_to(root))


if __name__ == "__main__":
    main()
