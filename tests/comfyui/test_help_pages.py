"""The help pages in the real editor's panel: each language has its own, with its pictures, and others get English."""

import json

import pytest
from comfyui import browser
from comfyui.browser import what_is_missing
from comfyui.server import REPOSITORY, running_server

MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

NODES = ["StableVideoSample", "StableVideoDecode"]
SHOW = """kind => {
  app.canvas.deselectAll()
  app.canvas.selectNode(app.graph._nodes.find(node => node.type === kind))
  app.canvas.setDirty(true, true)
}"""
BUTTON = '.selection-toolbox [data-testid="info-button"]'
HEADING = "document.querySelector('.node-help-content h1')?.innerText"
PICTURES = "[...document.querySelectorAll('.node-help-content img')]"


@pytest.fixture(scope="module")
def server(checkout, tmp_path_factory):
    with running_server(checkout, tmp_path_factory.mktemp("help") / "base") as running:
        yield running


def title(node, language):
    return json.loads((REPOSITORY / "locales" / language / "nodeDefs.json").read_text())[node]["display_name"]


@pytest.mark.parametrize(
    ("chosen", "shown"), [("en", "en"), ("es", "es"), ("ja", "ja"), ("zh", "zh"), ("fr", "en")], ids=lambda name: name
)
def test_the_panel_shows_the_page_of_the_editor_s_language(server, chosen, shown):
    server.post("/api/settings", browser.SETTINGS | {"Comfy.Locale": chosen})
    with browser.opened(server.port) as editor:
        editor.open(REPOSITORY / "workflows" / "quickstart.json")
        editor.page.keyboard.press("Escape")
        for node in NODES:
            editor.ask(SHOW, node)
            editor.page.locator(BUTTON).first.dispatch_event("click")  # the editor's own bar may lie over it
            editor.wait(f"{HEADING} === {json.dumps(title(node, shown))}")
            editor.wait(f"{PICTURES}.length > 0 && {PICTURES}.every(picture => picture.naturalWidth > 0)")
            text = editor.ask("document.querySelector('.node-help-content').innerText")
            assert "**" not in text  # bold that the editor did not take for bold
