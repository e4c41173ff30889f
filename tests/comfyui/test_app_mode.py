"""The templates as forms, in editors that have app mode: what a beginner sees, and that a run gives the video there."""

import json
import shutil

import pytest
from comfyui import browser
from comfyui.browser import what_is_missing
from comfyui.server import REPOSITORY, running_server
from comfyui.surface import NANO

MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

FORMS = ["quickstart", "image_to_video", "image_to_video_10_steps"]
LABELS = "[...document.querySelectorAll('[data-testid=builder-widget-label]')].map(label => label.textContent)"
SET = """values => {
  for (const node of app.graph._nodes)
    for (const widget of node.widgets ?? []) if (widget.name in values) widget.value = values[widget.name]
}"""
VIDEO = "document.querySelector('[data-testid=linear-outputs] video, [data-testid=linear-center-panel] video')"


def workflow(name):
    return REPOSITORY / "workflows" / f"{name}.json"


@pytest.fixture(scope="module")
def editor(checkout, tmp_path_factory):
    with running_server(checkout, tmp_path_factory.mktemp("app") / "base") as server:
        shutil.copy(NANO, server.base / "models" / "checkpoints")
        shutil.copy(REPOSITORY / "web" / "pictures" / "lighthouse.png", server.base / "input")
        server.post("/api/settings", browser.SETTINGS | {"Comfy.OnboardingCoachmarks.Seen": ["appMode", "firstRun"]})
        with browser.opened(server.port) as opened:
            opened.has_app_mode = opened.ask(
                "app.extensionManager.command.commands.some(command => command.id === 'Comfy.ToggleLinear')"
            )
            yield opened


@pytest.fixture
def form(editor):
    if not editor.has_app_mode:
        pytest.skip("this editor has no app mode")
    return editor


@pytest.mark.parametrize("name", FORMS)
def test_a_template_opens_as_a_form_with_picture_motion_and_seed(form, name):
    form.open(workflow(name), as_form=True)
    form.wait(f"{LABELS}.length === 3")
    assert form.ask(LABELS) == ["image", "motion_bucket_id", "seed"]
    shown = form.ask("[...document.querySelectorAll('[data-testid=linear-widgets] img')].map(picture => picture.src)")
    assert any("lighthouse.png" in source for source in shown)
    assert form.page.locator("[data-testid=linear-widgets]").is_visible()
    assert not form.page.get_by_text("no outputs").count()


def test_a_run_from_the_form_shows_the_video_in_it(form):
    form.open(workflow("quickstart"), as_form=True)
    form.ask(SET, {"width": 128, "height": 128, "frames": 4, "steps": 2})
    form.page.locator("[data-testid=linear-run-button] button", has_text="Run").click()
    form.wait(f"{VIDEO}?.src.includes('svd_quickstart')")
    assert form.page.locator("[data-testid=linear-widgets]").is_visible()


@pytest.mark.parametrize("name", FORMS)
def test_the_graph_is_one_click_away_and_asks_for_the_same(form, name):
    form.open(workflow(name), as_form=True)
    asked = form.ask("app.graphToPrompt().then(prompt => prompt.output)")
    form.page.get_by_role("button", name="Enter node graph").click()
    form.page.locator("[data-testid=linear-widgets]").wait_for(state="hidden")
    assert form.ask("app.graphToPrompt().then(prompt => prompt.output)") == asked
    assert form.ask("app.graph._nodes.length") == len(json.loads(workflow(name).read_text())["nodes"])


@pytest.mark.parametrize("name", FORMS)
def test_an_editor_without_app_mode_shows_the_graph_and_keeps_the_form(editor, name):
    """Saved there and opened elsewhere, the workflow is a form still."""
    if editor.has_app_mode:
        pytest.skip("this editor has app mode")
    editor.open(workflow(name))
    saved = editor.ask("app.graph.serialize().extra")
    asked = json.loads(workflow(name).read_text())["extra"]
    assert {key: saved[key] for key in ("linearData", "linearMode")} == {
        key: asked[key] for key in ("linearData", "linearMode")
    }
    prompt = editor.ask("app.graphToPrompt().then(prompt => prompt.output)")
    twin = json.loads((REPOSITORY / "workflows" / "api" / f"{name}.json").read_text())
    del next(node for node in twin.values() if node["class_type"] == "SaveVideo")["inputs"]["format.codec"]  # newer
    assert prompt == twin


def test_the_form_speaks_the_page_s_language(form):
    change = "language => app.extensionManager.setting.set('Comfy.Locale', language)"
    form.open(workflow("quickstart"), as_form=True)
    form.ask(change, "zh")
    try:
        form.open(workflow("quickstart"), as_form=True)
        form.wait(f"{LABELS}.slice(1).join() === '运动量,种子'")
    finally:
        form.ask(change, "en")
