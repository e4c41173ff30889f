"""The saved workflows, and what we save, in the real editor in a headless browser."""

import json
import urllib.request
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui import browser
from comfyui.browser import what_is_missing
from comfyui.server import REPOSITORY, running_server

from svd_nodes.headless.media import write_mp4, write_png, write_webp

WORKFLOWS = sorted((REPOSITORY / "workflows").glob("*.json"))
(BLUEPRINT,) = (REPOSITORY / "subgraphs").glob("*.json")


MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

# Asks along a line 12 px inside each node's border: a wire's own slots lie outside it.
BEHIND = """() => {
  const context = document.createElement("canvas").getContext("2d")
  context.lineWidth = 4
  const crossed = ({path}, [x, y, width, height]) => {
    const on = (a, b) => context.isPointInStroke(path, a, b)
    for (let a = x + 12; a <= x + width - 12; a += 2) if (on(a, y + 12) || on(a, y + height - 12)) return true
    for (let b = y + 12; b <= y + height - 12; b += 2) if (on(x + 12, b) || on(x + width - 12, b)) return true
  }
  app.canvas.draw(true, true)
  const wires = [...app.canvas.renderedPaths]
  if (wires.length < app.graph.links.size) return ["some wires are not in view"]
  return app.graph._nodes.filter(node => wires.some(wire => crossed(wire, node.boundingRect))).map(node => node.title)
}"""
OUTSIDE = """() => {
  const [left, top, wide, high] = app.canvas.visible_area
  const whole = ([x, y, width, height]) => x >= left && y >= top && x + width <= left + wide && y + height <= top + high
  return [...app.graph._nodes, ...app.graph._groups].filter(item => !whole(item.boundingRect)).map(item => item.title)
}"""
ASKED = {
    "files": "async () => (await app.graphToPrompt()).output",
    "behind": BEHIND,
    "outside": OUTSIDE,
    "dialogs": "() => [...document.querySelectorAll('.p-dialog')].map(dialog => dialog.innerText).join()",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("editor") / "base") as running:
        running.post("/api/settings", browser.SETTINGS)
        yield running


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A film, an animation and a picture with the quickstart inside, as headless runs write them."""
    folder, frames = tmp_path_factory.mktemp("saved"), torch.rand(3, 32, 32, 3)
    document = json.loads((REPOSITORY / "workflows" / "quickstart.json").read_text())
    metadata = {"prompt": twin(Path("quickstart.json")), "workflow": document}
    write_mp4(folder / "both.mp4", frames, Fraction(7), metadata)
    write_webp(folder / "both.webp", frames, 7, metadata, lossless=False, quality=80)
    write_png(folder / "both.png", frames[0], metadata)
    write_mp4(folder / "prompt.mp4", frames, Fraction(7), {"prompt": metadata["prompt"]})
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def opened(server, saved):
    """What the editor makes of each file: its API form, the nodes that a wire runs behind, the nodes and groups that
    cannot be seen whole as it opens, and what a dialog says then."""
    found: dict[str, Any] = {name: {} for name in ASKED}
    with browser.opened(server.port) as editor:
        for file in [*WORKFLOWS, BLUEPRINT, *saved]:
            editor.open(file)
            for name, question in ASKED.items():
                found[name][str(file)] = editor.ask(question)
            editor.page.keyboard.press("Escape")
            editor.wait("!document.querySelector('.p-dialog')")
    return found | {"complaints": editor.complaints}


def twin(path: Path):
    return json.loads((REPOSITORY / "workflows" / "api" / path.name).read_text())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_editor_exports_the_api_twin(path, opened):
    assert opened["files"][str(path)] == twin(path)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_opens_readable_whole_and_with_every_wire_in_view(path, opened):
    scale = 0.6 if path.stem == "compare_motion" else 0.76  # what is smaller cannot be read
    assert json.loads(path.read_text())["extra"]["ds"]["scale"] >= scale
    assert opened["outside"][str(path)] == []
    assert opened["behind"][str(path)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_editor_says_where_a_missing_model_comes_from(path, opened):
    missing = "checkpoints / svd_xt.safetensors" in opened["dialogs"][str(path)]
    assert missing == (twin(path)["1"]["inputs"]["checkpoint"] == "svd_xt.safetensors")


def test_the_blueprint_opens_as_the_chain_that_it_is(opened):
    """The same nodes as in the template, wired the same way, from the fitted picture to the frames."""
    inside = {id.split(":")[1]: node for id, node in opened["files"][str(BLUEPRINT)].items()}
    template = twin(Path("image_to_video.json"))
    assert inside.keys() == {"1", "3", "4", "5", "6", "8", "9"}
    for id, node in inside.items():
        for value in node["inputs"].values():
            if isinstance(value, list):
                value[0] = value[0].split(":")[1]
        expected = {name: value for name, value in template[id]["inputs"].items() if value != ["2", 0]}
        assert (node["class_type"], node["inputs"]) == (template[id]["class_type"], expected)


def test_the_example_picture_is_brought_when_a_template_names_it(opened, server):
    brought = server.base / "input" / "lighthouse.png"
    assert brought.read_bytes() == (REPOSITORY / "web" / "pictures" / "lighthouse.png").read_bytes()
    assert [path.name for path in brought.parent.iterdir() if path.is_file()] == ["lighthouse.png"]


def test_the_page_throws_nothing(opened):
    assert opened["complaints"] == []


def test_what_we_save_opens_in_the_editor(opened, saved):
    for path in saved:
        assert opened["files"][str(path)] == twin(Path("quickstart.json")), path.name


def test_templates_and_thumbnails_are_served(server):
    (names,) = [names for pack, names in server.get("/api/workflow_templates").items() if pack == "svd-nodes"]
    assert sorted(names) == [path.stem for path in WORKFLOWS]
    for name in names:
        url = f"http://127.0.0.1:{server.port}/api/workflow_templates/svd-nodes/{name}.jpg"
        with urllib.request.urlopen(url, timeout=30) as reply:
            assert reply.read(3) == b"\xff\xd8\xff"
