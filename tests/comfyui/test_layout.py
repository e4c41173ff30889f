"""Where things stand on the page: every node in its group, no label cut, as a template opens and after a run."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui import surface as surfaces
from comfyui.browser import what_is_missing
from comfyui.server import REPOSITORY
from comfyui.surface import QUICKSTART, RENDERERS
from PIL import Image

from svd_nodes.headless.films import write_clip

MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

WORKFLOWS = sorted((REPOSITORY / "workflows").glob("*.json"))
KINDS = [path.stem for path in (REPOSITORY / "web" / "docs").glob("*.md")]
# The box of each node in the graph's coordinates, with all that is drawn of it: [title, x, y, width, height].
BOXES = """() => {
  const {ds, canvas} = app.canvas, origin = canvas.getBoundingClientRect()
  const box = node => {
    const drawn = LiteGraph.vueNodesMode && document.querySelector(`[data-node-id="${node.id}"]`)
    if (!drawn) return [...node.boundingRect]
    const {x, y, width, height} = drawn.getBoundingClientRect()
    const from = [(x - origin.x) / ds.scale - ds.offset[0], (y - origin.y) / ds.scale - ds.offset[1]]
    return [...from, width / ds.scale, height / ds.scale]
  }
  return app.graph._nodes.map(node => [node.comfyClass ?? node.type, ...box(node)])
}"""
GROUPS = "app.graph._groups.map(group => [group.title, ...group.boundingRect])"
# Labels that end in dots: in the page's elements, or among the texts that the canvas draws.
CUT = """() => {
  if (LiteGraph.vueNodesMode) {
    const cut = element => getComputedStyle(element).textOverflow === "ellipsis" && element.innerText?.trim()
      && element.scrollWidth > element.clientWidth
    return [...document.querySelectorAll("[data-node-id] *")].filter(cut).map(element => element.innerText)
  }
  const pen = CanvasRenderingContext2D.prototype, {fillText} = pen, texts = []
  pen.fillText = function (text, ...where) {
    texts.push(String(text))
    return fillText.call(this, text, ...where)
  }
  app.canvas.draw(true, true)
  pen.fillText = fillText
  return texts.filter((text, i) => /.(…|\\.\\.\\.)$/.test(text) || texts[i + 1] === "…")
}"""
UNFOLD = """() => {
  const buttons = [...document.querySelectorAll("[data-node-id] button")]
  for (const button of buttons.filter(button => button.innerText.includes("Show advanced"))) {
    button.dispatchEvent(new PointerEvent("pointerdown", {bubbles: true}))
    button.click()
  }
}"""
FRESH = """kinds => {
  app.graph.clear()
  for (const [i, kind] of kinds.entries()) {
    const node = LiteGraph.createNode(kind)
    node.pos = [100 + (i % 4) * 400, 100 + Math.floor(i / 4) * 500]
    app.graph.add(node)
  }
}"""
# What the server tells of a run's clips and films, told to the page alone: [a strip of frames, a saved film].
RAN = """([strip, film]) => {
  const tell = (type, detail) => app.api.dispatchEvent(new CustomEvent(type, {detail}))
  for (const {id, comfyClass} of app.graph._nodes) {
    if (comfyClass === "StableVideoSample") tell("svd-nodes.clip", {...strip, node: String(id)})
    if (comfyClass !== "SaveVideo") continue
    const output = {images: [film], animated: [true]}
    tell("executed", {node: String(id), display_node: String(id), prompt_id: "told", output})
  }
}"""
PLAYING = """() => {
  const seen = [...document.querySelectorAll("video")].filter(video => video.readyState > 0)
  const clips = [...document.querySelectorAll(".svd-clip")].filter(clip => !clip.hidden)
  const count = kind => app.graph._nodes.filter(node => node.comfyClass === kind).length
  return seen.length >= count("SaveVideo") && clips.length >= count("StableVideoSample")
}"""
BARS = """() => {
  const run = document.querySelector("[data-testid=queue-button]")
  const bar = run?.closest(".actionbar-container, .actionbar, .p-panel") ?? run
  return bar.getBoundingClientRect().bottom
}"""


@pytest.fixture(scope="module", params=RENDERERS, ids=lambda renderer: renderer.name)
def surface(checkout, request, tmp_path_factory):
    with surfaces.opened(checkout, tmp_path_factory.mktemp("layout") / "base", request.param) as surface:
        yield surface


def settle(surface) -> None:
    """Until no box has changed for a while: panels ask the server before they say anything."""
    before: Any = None
    while (now := surface.editor.ask(BOXES)) != before:
        before = now
        surface.editor.page.wait_for_timeout(700)


def outside(surface) -> list[str]:
    """The nodes that are in no group, and the notes that touch one."""
    groups = surface.editor.ask(GROUPS)
    wrong = []
    for kind, *box in surface.editor.ask(BOXES):
        if kind == "MarkdownNote":
            wrong += [f"{kind} on {title}" for title, *group in groups if touch(box, group)]
        elif not any(within(box, group) for _, *group in groups):
            wrong.append(f"{kind} {[round(side) for side in box]}")
    return wrong


def within(box: list[float], group: list[float]) -> bool:
    (x, y, width, height), (left, top, wide, high) = box, group
    return left <= x and top <= y and x + width <= left + wide and y + height <= top + high


def touch(box: list[float], group: list[float]) -> bool:
    (x, y, width, height), (left, top, wide, high) = box, group
    return left < x + width and x < left + wide and top < y + height and y < top + high


def overlapping(surface) -> list[str]:
    boxes = surface.editor.ask(BOXES)
    return [f"{a[0]} on {b[0]}" for i, a in enumerate(boxes) for b in boxes[:i] if touch(a[1:], b[1:])]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_template_opens_with_every_node_in_its_group_and_every_label_whole(surface, path: Path):
    surface.editor.open(path)
    settle(surface)
    surface.editor.page.keyboard.press("Escape")  # older editors tell of missing models in a dialog over all
    settle(surface)
    surface.take_picture(f"{path.stem}-{surface.name}")
    assert outside(surface) == []
    assert overlapping(surface) == []
    assert surface.editor.ask(CUT) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_there_is_room_for_the_inputs_that_are_folded(surface, path: Path):
    if not surface.renderer.vue:
        pytest.skip("the canvas folds nothing")
    surface.editor.open(path)
    settle(surface)
    surface.editor.ask(UNFOLD)
    settle(surface)
    assert outside(surface) == []
    assert surface.editor.ask(CUT) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_heading_is_under_the_bars(surface, path: Path):
    surface.editor.open(path)
    top = min(group[2] for group in surface.editor.ask(GROUPS))
    scale, offset = surface.editor.ask("[app.canvas.ds.scale, app.canvas.ds.offset[1]]")
    origin = surface.editor.ask("app.canvas.canvas.getBoundingClientRect().y")
    assert origin + (top + offset) * scale >= surface.editor.ask(BARS)


def test_a_new_node_s_labels_are_whole(surface):
    """All but those beside the name of a checkpoint, which is as long as it is."""
    surface.editor.ask(FRESH, sorted(set(KINDS) - {"StableVideoLoadCheckpoint"}))
    settle(surface)
    surface.editor.ask(UNFOLD)
    settle(surface)
    assert [text for text in surface.editor.ask(CUT) if not text.startswith("control after")] == []


def test_the_player_and_the_preview_stay_in_their_groups(surface):
    surface.editor.open(QUICKSTART)
    surface.run()
    surface.finish()
    surface.editor.wait("!svd.panel('StableVideoSample').querySelector('.svd-clip').hidden")
    settle(surface)
    surface.take_picture(f"after-a-run-{surface.name}")
    assert outside(surface) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_clip_and_the_film_of_every_template_stay_in_their_groups(surface, path: Path):
    """As the server tells of them, in the template's own shape: none has to run for it."""
    (fit,) = [node for node in json.loads(path.read_text())["nodes"] if node["type"] == "StableVideoFitImage"]
    width, height = fit["widgets_values"][:2]
    frames, folder = torch.rand(4, height, width, 3), surface.server.base / "output"
    folder.mkdir(exist_ok=True)
    write_clip(folder / f"{path.stem}.mp4", "film", frames, 7, {}, overwrite=True)
    picture = BytesIO()
    Image.new("RGB", (width // 8, 4 * height // 8), "teal").save(picture, "JPEG")
    strip = {"jpeg": base64.b64encode(picture.getvalue()).decode(), "frames": 4}
    strip |= {"width": width // 8, "height": height // 8}
    surface.editor.open(path)
    settle(surface)
    surface.editor.page.keyboard.press("Escape")
    surface.editor.ask(RAN, [strip, {"filename": f"{path.stem}.mp4", "subfolder": "", "type": "output"}])
    surface.editor.wait(f"({PLAYING})()")
    settle(surface)
    surface.take_picture(f"after-{path.stem}-{surface.name}")
    assert outside(surface) == []
    assert overlapping(surface) == []


def test_a_node_is_saved_without_the_height_of_a_sentence(surface):
    saved = "app.graph.serialize().nodes.find(node => node.type === 'StableVideoSample').size[1]"
    surface.editor.open(QUICKSTART)
    surface.wait_for("StableVideoSample", "≈ ")
    settle(surface)
    before = surface.editor.ask(saved)
    surface.set("StableVideoSample", max_guidance=5, frames=25)
    surface.wait_for("StableVideoSample", "This checkpoint was trained on 14 frames.")
    surface.wait_for("StableVideoSample", "This checkpoint is at its best with guidance up to 2.")
    settle(surface)
    assert surface.editor.ask(saved) == pytest.approx(before, abs=1)
