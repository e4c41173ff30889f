"""The pack's extension in the real editor: panels on the nodes, and the moving preview.

With the frontend that the checkout has pinned, and with another one whose `static` folder $COMFYUI_FRONTEND names
(pip install --target DIR comfyui-frontend-package; DIR/comfyui_frontend_package/static), in both of its renderers.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from comfyui import browser
from comfyui.browser import Editor, what_is_missing
from comfyui.server import REPOSITORY, running_server

MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

QUICKSTART = REPOSITORY / "workflows" / "quickstart.json"
OTHER = os.environ.get("COMFYUI_FRONTEND")
# The Vue renderer of the frontend pinned by 0.3.64 is a first version, which draws no DOM widget of anybody's.
SURFACES = ["pinned", "other", "other-vue"]
PANELS = {"StableVideoFitImage", "StableVideoCondition", "StableVideoSample", "StableVideoDecode"}
HELPERS = """
window.svd = {
  node: kind => app.graph._nodes.find(node => node.comfyClass === kind),
  panel: kind => svd.node(kind)?.widgets.find(widget => widget.name === "svd_panel")?.element,
  lines(kind) {
    const lines = svd.panel(kind)?.firstChild.children ?? [] // none while the editor makes its nodes anew
    return [...lines].filter(line => !line.hidden).map(line => line.textContent)
  },
  set(kind, values) {
    for (const widget of svd.node(kind).widgets) {
      if (!(widget.name in values)) continue
      widget.value = values[widget.name]
      widget.callback?.(widget.value)
    }
  },
  told: [],
}
const listen = type => app.api.addEventListener(type, () => svd.told.push(type));
["svd-nodes.clip", "b_preview_with_metadata"].forEach(listen)
"""
# One frame of the canvas is on view; where it starts says which.
ON_VIEW = (
    """() => new DOMMatrix(getComputedStyle(svd.panel("StableVideoSample").querySelector("canvas")).transform).f"""
)
FRAMES_DIFFER = """() => {
  const canvas = svd.panel("StableVideoSample").querySelector("canvas")
  const context = canvas.getContext("2d"), high = canvas.height / 4
  const frame = i => context.getImageData(0, i * high, canvas.width, high).data
  return frame(0).some((value, i) => Math.abs(value - frame(3)[i]) > 8)
}"""


@dataclass
class Surface:
    name: str
    editor: Editor
    server: Any

    def lines(self, kind: str) -> list[str]:
        return self.editor.ask("kind => svd.lines(kind)", kind)

    def set(self, kind: str, **values: Any) -> None:
        self.editor.ask("([kind, values]) => svd.set(kind, values)", [kind, values])

    def wait_for(self, kind: str, text: str) -> None:
        """Until a line of a node's panel begins with a text."""
        line = f"line => line.startsWith({json.dumps(text)})"
        self.editor.wait(f"svd.lines({json.dumps(kind)}).some({line})")

    def run(self, **changes: Any) -> None:
        """Queues the quickstart, short and small."""
        self.set("StableVideoFitImage", width=128, height=128)
        self.set("StableVideoSample", **({"frames": 4, "steps": 4} | changes))
        self.editor.ask("svd.told = []")
        self.editor.ask("app.queuePrompt(0)")

    def take_picture(self, name: str) -> None:
        """Where the environment names a folder for it."""
        if folder := os.environ.get("SVD_SCREENSHOTS"):
            self.editor.page.screenshot(path=Path(folder) / f"{name}.png")

    def finish(self) -> None:
        for _ in range(900):
            if not any(self.server.get("/queue").values()):
                return
            self.editor.page.wait_for_timeout(100)
        raise TimeoutError(self.server.log[-3000:])


@pytest.fixture(scope="module", params=SURFACES)
def surface(request, tmp_path_factory):
    """The quickstart, opened in one frontend and renderer: one server and one browser for all tests of it."""
    options = ["--preview-method", "latent2rgb"]
    if request.param != "pinned":
        if OTHER is None:
            pytest.skip("no other frontend: set COMFYUI_FRONTEND to its static folder")
        options += ["--front-end-root", OTHER]
    with running_server(tmp_path_factory.mktemp("page") / "base", *options) as server:
        nano = REPOSITORY / "assets" / "checkpoints" / "svd_nano.safetensors"
        shutil.copy(nano, server.base / "models" / "checkpoints")
        shutil.copy(REPOSITORY / "web" / "pictures" / "lighthouse.png", server.base / "input")
        server.post("/api/settings", browser.SETTINGS | {"Comfy.VueNodes.Enabled": request.param == "other-vue"})
        with browser.opened(server.port) as editor:
            editor.ask(HELPERS)
            yield Surface(request.param, editor, server)


@pytest.fixture(autouse=True)
def quickstart(surface, request):
    surface.editor.open(QUICKSTART)
    yield
    surface.take_picture(request.node.name.translate({ord("["): "-", ord("]"): None}))


def test_no_node_is_missing_and_every_panel_is_there(surface):
    missing = "app.graph._nodes.filter(node => !LiteGraph.registered_node_types[node.type]).map(node => node.type)"
    assert surface.editor.ask(missing) == []
    drawn = """kinds => kinds.filter(kind => {
      const box = svd.panel(kind).getBoundingClientRect()
      return box.width > 100 && box.height > 8
    })"""
    surface.editor.wait("document.querySelectorAll('.svd-panel').length === 4")
    assert set(surface.editor.ask(drawn, sorted(PANELS))) == PANELS


def test_nothing_of_a_panel_is_saved_or_queued(surface):
    """By position, so a value too many would shift the others."""
    saved = surface.editor.ask("app.graph.serialize().nodes")
    asked = {node["id"]: node.get("widgets_values") or [] for node in json.loads(QUICKSTART.read_text())["nodes"]}
    assert {node["id"]: node.get("widgets_values") or [] for node in saved} == asked
    prompt = surface.editor.ask("app.graphToPrompt().then(prompt => prompt.output)")
    assert prompt == json.loads((QUICKSTART.parent / "api" / QUICKSTART.name).read_text())


def test_the_nodes_say_what_a_run_is_told_and_needs(surface):
    surface.wait_for("StableVideoSample", "guidance 1 → 2")
    surface.wait_for("StableVideoSample", "≈ 0.1 of ")
    surface.wait_for("StableVideoDecode", "≈ 0.9 of ")
    surface.wait_for("StableVideoCondition", "the model is told fps 6")
    assert surface.editor.ask("svd.panel('StableVideoSample').querySelector('path').getAttribute('d')").count("M") == 14
    surface.set("StableVideoCondition", fps=12)
    surface.wait_for("StableVideoCondition", "the model is told fps 11")
    surface.set("StableVideoSample", guidance="constant", max_guidance=1)
    surface.wait_for("StableVideoSample", "no guidance")


def test_estimates_follow_the_loader_s_memory(surface):
    surface.wait_for("StableVideoDecode", "≈ ")
    (whole,) = surface.lines("StableVideoDecode")
    surface.set("StableVideoLoadCheckpoint", memory="low")
    surface.editor.wait(f"svd.lines('StableVideoDecode')[0] !== {json.dumps(whole)}")
    surface.set("StableVideoLoadCheckpoint", memory="fast")
    surface.wait_for("StableVideoDecode", whole)


def test_a_checkpoint_that_comes_later_is_noticed(surface):
    """Its estimate is refused at first, and asked for again when the lists are read anew."""
    home = surface.server.base / "models" / "checkpoints"
    (home / "later.safetensors").unlink(missing_ok=True)
    surface.set("StableVideoLoadCheckpoint", checkpoint="later.safetensors")
    surface.editor.wait("!svd.lines('StableVideoSample').some(line => line.startsWith('≈'))")
    shutil.copy(home / "svd_nano.safetensors", home / "later.safetensors")
    surface.editor.ask("app.refreshComboInNodes()")
    surface.wait_for("StableVideoSample", "≈ ")


@pytest.mark.parametrize(
    ("language", "told", "guidance"),
    [
        ("zh", "模型得到的帧率为 6", "引导 1 → 2"),
        ("ja", "モデルに伝わる fps は 6", "ガイダンス 1 → 2"),
        ("es", "el modelo recibe fps 6", "guía 1 → 2"),
    ],
    ids=["zh", "ja", "es"],
)
def test_the_panels_speak_the_page_s_language(surface, language, told, guidance):
    change = "language => app.extensionManager.setting.set('Comfy.Locale', language)"
    surface.editor.ask(change, language)
    try:
        surface.wait_for("StableVideoCondition", told)
        surface.wait_for("StableVideoSample", guidance)
        surface.take_picture(f"language-{language}-{surface.name}")
    finally:
        surface.editor.ask(change, "en")
    surface.wait_for("StableVideoCondition", "the model is told fps 6")


def test_a_preset_sets_the_size(surface):
    surface.editor.wait("svd.panel('StableVideoFitImage').querySelectorAll('optgroup').length === 2")
    labels = "[...svd.panel('StableVideoFitImage').querySelectorAll('optgroup')].map(group => group.label)"
    assert surface.editor.ask(labels) == ["for this picture, 1024 × 576", "usual"]
    chooser = surface.editor.page.locator(".svd-panel select")
    chooser.select_option("576x1024")
    values = "svd.node('StableVideoFitImage').widgets.slice(0, 2).map(widget => widget.value)"
    assert surface.editor.ask(values) == [576, 1024]
    assert chooser.input_value() == ""


def test_what_is_off_the_model_s_training_has_a_badge_and_runs(surface):
    surface.set("StableVideoFitImage", width=264, height=256)
    surface.wait_for("StableVideoFitImage", "Multiples of 64 work best: 256 × 256.")
    surface.set("StableVideoSample", frames=25)
    surface.wait_for("StableVideoSample", "This checkpoint was trained on 14 frames.")
    surface.set("StableVideoSample", frames=14)
    surface.editor.wait("!svd.lines('StableVideoSample').some(line => line.startsWith('This checkpoint'))")


def test_an_invalid_setting_marks_its_node_with_our_sentence(surface):
    surface.set("StableVideoSample", min_guidance=3, max_guidance=1)
    sentence = "min_guidance 3 is above max_guidance 1: swap them."
    surface.wait_for("StableVideoSample", sentence)
    assert sum(sentence in line for line in surface.lines("StableVideoSample")) == 1
    assert surface.editor.ask("svd.panel('StableVideoSample').querySelector('path.svd-error') !== null")
    surface.editor.ask("app.queuePrompt(0).catch(() => {})")
    surface.editor.wait("Object.keys(app.lastNodeErrors ?? {}).length > 0")
    errors = surface.editor.ask("app.lastNodeErrors")
    assert set(errors) == {"8"}
    assert all(sentence in error["details"] for error in errors["8"]["errors"])
    surface.editor.page.keyboard.press("Escape")


def test_a_node_is_taller_only_while_a_sentence_stands_on_it(surface):
    height = "svd.node('StableVideoSample').size[1]"
    saved = "app.graph.serialize().nodes.find(node => node.type === 'StableVideoSample').size[1]"
    surface.wait_for("StableVideoSample", "≈ ")
    surface.editor.page.wait_for_timeout(500)
    before = surface.editor.ask(height)
    surface.set("StableVideoSample", min_guidance=3, max_guidance=1)
    surface.editor.wait(f"{height} > {before}")
    assert surface.editor.ask(saved) == before
    surface.set("StableVideoSample", min_guidance=1, max_guidance=2)
    surface.editor.wait(f"{height} === {before}")


def test_a_run_that_fails_says_why_on_its_node(surface):
    connect = """() => {
      const empty = LiteGraph.createNode("EmptyLatentImage")
      app.graph.add(empty)
      empty.connect(0, svd.node("StableVideoSample"), "latent")
    }"""
    surface.editor.ask(connect)
    surface.run()
    surface.editor.wait("svd.lines('StableVideoSample').some(line => line.startsWith('The latent holds 1 x 1'))", 60)
    surface.editor.page.keyboard.press("Escape")


def test_the_whole_clip_moves_while_it_is_sampled(surface):
    surface.run(seed=1)
    surface.editor.wait("svd.told.includes('svd-nodes.clip')", 90)
    surface.editor.wait("!svd.panel('StableVideoSample').querySelector('.svd-clip').hidden")
    size = "(({width, height}) => [width, height])(svd.panel('StableVideoSample').querySelector('canvas'))"
    assert surface.editor.ask(size) == [16, 4 * 16]
    seen = set()
    for _ in range(12):
        seen.add(round(surface.editor.ask(ON_VIEW)))
        surface.editor.page.wait_for_timeout(70)
    assert len(seen) >= 3
    surface.finish()
    assert surface.editor.ask(FRAMES_DIFFER)
    assert surface.editor.ask("svd.told").count("b_preview_with_metadata") == 0
    surface.editor.wait("!svd.lines('StableVideoSample').some(line => line.includes('after a run'))")


@pytest.mark.parametrize("setting", ["svd-nodes.clipPreview", "Comfy.Execution.PreviewMethod"])
def test_switched_off_it_leaves_core_s_preview(surface, setting):
    if setting.startswith("Comfy") and surface.name == "pinned":
        pytest.skip("this frontend has no setting for previews")
    before = surface.editor.ask("name => app.extensionManager.setting.get(name)", setting)
    change = "([name, value]) => app.extensionManager.setting.set(name, value)"
    surface.editor.ask(change, [setting, "none" if setting.startswith("Comfy") else False])
    surface.editor.page.wait_for_timeout(500)
    surface.run(seed=2 if setting.startswith("Comfy") else 3)
    surface.finish()
    told = surface.editor.ask("svd.told")
    surface.editor.ask(change, [setting, before])
    assert "svd-nodes.clip" not in told
    assert "b_preview_with_metadata" in told


def test_nothing_stays_behind_when_nodes_go(surface):
    for _ in range(3):
        surface.editor.open(QUICKSTART)
    surface.editor.wait("document.querySelectorAll('.svd-panel').length === 4")
    surface.editor.ask("app.graph.clear()")
    surface.editor.wait("document.querySelectorAll('.svd-panel, .svd-clip').length === 0")


def test_the_page_complains_of_nothing(surface):
    assert surface.editor.complaints == []
