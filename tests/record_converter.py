"""What the editor's own page makes of the drawings of `drawn.py`. Run this file to record it anew, in data/cases/.

It wants the checkouts and the browser that tests/comfyui wants (`$COMFYUI_PATH`, `$COMFYUI_PYTHON`, `$CHROMIUM_PATH`).
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_files import ROOT, picture

DATA = ROOT / "tests" / "data" / "cases"
KINDS = [
    *("LoadImage", "CreateVideo", "SaveVideo", "SaveImage", "SaveAnimatedWEBP", "PreviewImage", "ImageBatch"),
    *("ImageStitch", "PrimitiveInt", "PrimitiveFloat", "PrimitiveString", "PrimitiveStringMultiline"),
    "PrimitiveBoolean",
]
ASK = """async document => {
  try {
    await app.loadGraphData(document)
    await new Promise(done => setTimeout(done, 200))
    return JSON.parse(JSON.stringify((await app.graphToPrompt()).output))
  } catch (error) { return String(error) }
}"""


def served(get: Callable[[str], Any]) -> dict[str, Any]:
    """/object_info of the pack's nodes, and of core's that can run without an editor."""
    infos = get("/object_info")
    return {id: info for id, info in infos.items() if id in KINDS or id.startswith("StableVideo")}


def exported(editor: Any, documents: dict[str, Any]) -> dict[str, Any]:
    """The API form of each, as the page exports it; a text where it throws."""
    return {name: editor.ask(ASK, document) for name, document in documents.items()}


def prepare(base: Path) -> None:
    """Puts what the drawings name into the editor's folders."""
    shutil.copy(ROOT / "assets" / "checkpoints" / "svd_nano.safetensors", base / "models" / "checkpoints")
    for name in ("lighthouse.png", "other.png"):
        picture(base / "input" / name)


def record() -> None:
    from comfyui import browser
    from comfyui.server import checkouts, running_server
    from drawn import CASES

    documents = {name: make() for name, make in CASES.items()}
    answers: dict[str, Any] = {name: {} for name in documents}
    infos = {}
    for checkout in checkouts():
        base = Path(tempfile.mkdtemp()) / "base"
        with running_server(checkout, base) as server:
            prepare(base)
            server.post("/api/settings", browser.SETTINGS)
            infos[checkout.version] = served(server.get)
            with browser.opened(server.port) as editor:
                for name, answer in exported(editor, documents).items():
                    answers[name][checkout.version] = answer
    drawn = {name: {"document": documents[name], "exports": answers[name]} for name in documents}
    (DATA / "infos.json").write_text(json.dumps(infos, separators=(",", ":")) + "\n")
    (DATA / "drawn.json").write_text(_lines(drawn))


def _lines(drawn: dict[str, Any]) -> str:
    """A line for each case, so that a change shows where it is."""
    lines = [f"{json.dumps(name)}: {json.dumps(case, separators=(',', ':'))}" for name, case in drawn.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    record()
