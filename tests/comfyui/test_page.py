"""The pack's extension in the real editor: panels on the nodes, and the moving preview.

With each checkout's own front end, and with another one whose `static` folder $COMFYUI_FRONTEND names
(pip install --target DIR comfyui-frontend-package; DIR/comfyui_frontend_package/static), in both of its renderers.
"""

import json
import shutil
from operator import itemgetter

import pytest
import tiny_files
from comfyui import surface as surfaces
from comfyui.browser import what_is_missing
from comfyui.surface import QUICKSTART, RENDERERS

MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

PANELS = {"StableVideoFitImage", "StableVideoCondition", "StableVideoSample", "StableVideoDecode"}
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


@pytest.fixture(scope="module", params=RENDERERS, ids=lambda renderer: renderer.name)
def surface(checkout, request, tmp_path_factory):
    """The quickstart, opened in one renderer: one server and one browser for all tests of it."""
    with surfaces.opened(checkout, tmp_path_factory.mktemp("page") / "base", request.param) as surface:
        yield surface


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


def test_the_quickstart_is_the_first_of_the_templates(surface):
    (ours,) = surface.editor.ask("app.api.getWorkflowTemplates()").values()
    others = sorted(path.stem for path in QUICKSTART.parent.glob("*.json") if path != QUICKSTART)
    assert ours == [QUICKSTART.stem, *others]
    (told,) = surface.server.get("/workflow_templates").values()
    assert set(told) == set(ours)


def test_nothing_of_a_panel_is_saved_or_queued(surface):
    """By position, so a value too many would shift the others."""
    saved = ours(surface.editor.ask("app.graph.serialize().nodes"), "type")
    asked = ours(json.loads(QUICKSTART.read_text())["nodes"], "type")
    assert [node.get("widgets_values") or [] for node in saved] == [node.get("widgets_values") or [] for node in asked]
    prompt = surface.editor.ask("app.graphToPrompt().then(prompt => Object.values(prompt.output))")
    twin = json.loads((QUICKSTART.parent / "api" / QUICKSTART.name).read_text())
    assert ours(prompt, "class_type") == ours(twin.values(), "class_type")


def ours(nodes, kind):
    """The pack's own, by their kinds."""
    return sorted((node for node in nodes if node[kind].startswith("StableVideo")), key=itemgetter(kind))


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
    surface.speak(language)
    try:
        surface.wait_for("StableVideoCondition", told)
        surface.wait_for("StableVideoSample", guidance)
        surface.take_picture(f"language-{language}-{surface.name}")
    finally:
        surface.speak("en")
    surface.wait_for("StableVideoCondition", "the model is told fps 6")


def test_a_preset_sets_the_size(surface):
    """The checkpoint's own sizes come first."""
    surface.editor.wait("svd.panel('StableVideoFitImage').querySelectorAll('optgroup').length === 2")
    groups = "[...svd.panel('StableVideoFitImage').querySelectorAll('optgroup')]"
    labels = surface.editor.ask(f"{groups}.map(group => group.label)")
    assert labels == ["of this checkpoint", "for this picture, 1024 × 576"]
    sizes = surface.editor.ask(f"{groups}.map(group => [...group.children].map(option => option.value))")
    assert sizes[0] == ["256x256"]
    chooser = surface.editor.page.locator(".svd-panel select")
    values = "svd.node('StableVideoFitImage').widgets.slice(0, 2).map(widget => widget.value)"
    for size in (sizes[1][0], sizes[0][0]):
        chooser.select_option(size)
        assert surface.editor.ask(values) == [int(side) for side in size.split("x")]
        assert chooser.input_value() == ""
    assert len(surface.lines("StableVideoFitImage")) == 1, "the list alone, and no warning"


WIDGET = "([kind, name]) => svd.node(kind).widgets.find(widget => widget.name === name).value"
OFF_NANO = [
    ("StableVideoFitImage", {"width": 264, "height": 256}, "Multiples of 64 work best: 256 × 256."),
    ("StableVideoFitImage", {"width": 1024, "height": 576}, "This checkpoint is at its best at 256 × 256."),
    ("StableVideoSample", {"frames": 25}, "This checkpoint was trained on 14 frames."),
    ("StableVideoSample", {"steps": 5}, "This checkpoint is at its best with about 12 steps."),
    ("StableVideoSample", {"max_guidance": 4}, "This checkpoint is at its best with guidance up to 2."),
    (
        "StableVideoCondition",
        {"motion_bucket_id": 160},
        "This checkpoint is at its best with motion buckets around 70.",
    ),
]


def test_what_the_checkpoint_is_not_good_at_has_a_badge(surface):
    for kind, values, sentence in OFF_NANO:
        before = {name: surface.editor.ask(WIDGET, [kind, name]) for name in values}
        surface.set(kind, **values)
        surface.wait_for(kind, sentence)
        surface.set(kind, **before)
        surface.editor.wait(f"!svd.lines('{kind}').includes({json.dumps(sentence)})")


def test_another_checkpoint_is_good_at_other_things(surface):
    folder = surface.server.base / "models" / "checkpoints"
    tiny_files.checkpoint(folder, "svd_xt_1_1.safetensors")
    surface.set("StableVideoLoadCheckpoint", checkpoint="svd_xt_1_1.safetensors")
    surface.wait_for("StableVideoFitImage", "This checkpoint is at its best at 1024 × 576 or 576 × 1024.")
    surface.wait_for("StableVideoCondition", "SVD-XT 1.1 was trained with fps 6 and motion bucket 127 only.")
    first = "svd.panel('StableVideoFitImage').querySelector('optgroup option').value"
    assert surface.editor.ask(first) == "1024x576"
    surface.set("StableVideoLoadCheckpoint", checkpoint="svd_nano.safetensors")
    surface.editor.wait("svd.lines('StableVideoFitImage').length === 1 && !svd.lines('StableVideoCondition')[1]")
    assert surface.editor.ask(first) == "256x256"


def test_an_invalid_setting_marks_its_node_with_our_sentence(surface):
    surface.set("StableVideoFitImage", height=256)
    surface.editor.ask(
        "svd.node('StableVideoFitImage').widgets[0].value = 250"
    )  # as a file has it: typed, it is rounded
    surface.set("StableVideoSample", seed=5)  # any change has all panels looked at
    sentence = "The size 250 x 256 does not divide by 8: use 248 x 256."
    surface.wait_for("StableVideoFitImage", sentence)
    assert sum(sentence in line for line in surface.lines("StableVideoFitImage")) == 1
    surface.editor.ask("app.queuePrompt(0).catch(() => {})")
    surface.editor.wait("Object.keys(app.lastNodeErrors ?? {}).length > 0")
    errors = surface.editor.ask("app.lastNodeErrors")
    assert set(errors) == {"3"}
    assert all(sentence in error["details"] for error in errors["3"]["errors"])
    surface.editor.page.keyboard.press("Escape")


def test_a_node_is_taller_only_while_a_sentence_stands_on_it(surface):
    height = "svd.node('StableVideoFitImage').size[1]"
    saved = "app.graph.serialize().nodes.find(node => node.type === 'StableVideoFitImage').size[1]"
    surface.wait_for("StableVideoSample", "≈ ")
    surface.editor.page.wait_for_timeout(500)
    before = surface.editor.ask(height)
    surface.set("StableVideoFitImage", width=250)
    surface.editor.wait(f"{height} > {before}")
    if not surface.renderer.vue:  # there the page saves the height that it measures
        line = surface.editor.ask(height) - before
        assert abs(surface.editor.ask(saved) - before) < line / 2  # a list is a pixel or two higher in one browser
    surface.set("StableVideoFitImage", width=256)
    surface.editor.wait(f"{height} <= {before}")


def test_a_run_that_fails_says_why_on_its_node(surface):
    connect = """() => {
      const empty = LiteGraph.createNode("EmptyLatentImage")
      app.graph.add(empty)
      empty.connect(0, svd.node("StableVideoSample"), "latent")
    }"""
    surface.editor.ask(connect)
    surface.run()
    surface.editor.wait("svd.lines('StableVideoSample').some(line => line.startsWith('The latent holds 1 x 1'))")
    surface.editor.page.keyboard.press("Escape")


def test_the_whole_clip_moves_while_it_is_sampled(surface):
    surface.run(seed=1)
    surface.editor.wait("svd.told.includes('svd-nodes.clip')")
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


def test_switched_off_it_leaves_core_s_preview(surface):
    told = told_with(surface, "svd-nodes.clipPreview", False, seed=2)
    assert "svd-nodes.clip" not in told
    assert "b_preview_with_metadata" in told


def test_a_page_without_previews_is_shown_none(surface):
    setting = "Comfy.Execution.PreviewMethod"
    if surface.editor.ask("name => app.extensionManager.setting.get(name)", setting) is None:
        pytest.skip("this front end has no setting for previews")
    told = told_with(surface, setting, "none", seed=3)
    assert "svd-nodes.clip" not in told
    if surface.renderer.frontend is None:  # the server is as new as the page, and heeds the setting
        assert "b_preview_with_metadata" not in told


def told_with(surface, setting, value, seed):
    """What the page is told of a run while a setting has another value."""
    before = surface.editor.ask("name => app.extensionManager.setting.get(name)", setting)
    change = "([name, value]) => app.extensionManager.setting.set(name, value)"
    surface.editor.ask(change, [setting, value])
    try:
        surface.editor.page.wait_for_timeout(500)
        surface.run(seed=seed)
        surface.finish()
        return surface.editor.ask("svd.told")
    finally:
        surface.editor.ask(change, [setting, before])


def test_nothing_stays_behind_when_nodes_go(surface):
    for _ in range(3):
        surface.editor.open(QUICKSTART)
    surface.editor.wait("document.querySelectorAll('.svd-panel').length === 4")
    surface.editor.ask("app.graph.clear()")
    surface.editor.wait("document.querySelectorAll('.svd-panel, .svd-clip').length === 0")


def test_the_page_complains_of_nothing(surface):
    assert surface.editor.complaints == []
