"""What people type finds the node they want, in each of the editor's own search boxes."""

import pytest
from comfyui import surface as surfaces
from comfyui.browser import what_is_missing
from comfyui.surface import RENDERERS

MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

BOXES = ["default", "v1 (legacy)"]
# "video" is not among them: the search puts names that begin with a word before names that hold it, and both before
# aliases, and more of core's nodes than five begin with it.
WANTED = {
    "stable video diffusion": "Load SVD Checkpoint",
    "image to video": "SVD Image to Video",
    "img2vid": "SVD Sampler (Euler)",
    "i2v": "SVD Sampler (Euler)",
    "animate picture": "SVD Sampler (Euler)",
    "motion": "SVD Conditioning",
}
TOGGLE = "app.extensionManager.command.execute('Workspace.SearchBox.Toggle')"
INPUT = "[role=dialog] input:visible, .comfy-vue-node-search-container input:visible"
ROWS = """() => [...document.querySelectorAll('[data-testid="result-item"], .option-container')].map(
  row => row.innerText.split("\\n")[0].trim()).filter(Boolean)"""


@pytest.fixture(scope="module")
def surface(checkout, tmp_path_factory):
    with surfaces.opened(checkout, tmp_path_factory.mktemp("search") / "base", RENDERERS[0]) as surface:
        told = surface.server.get("/object_info/StableVideoSample")["StableVideoSample"]
        if not told.get("search_aliases"):
            pytest.skip("this editor's search knows no aliases")
        yield surface


def found(surface, word: str) -> list[str]:
    """What the search lists, each once, best first."""
    page = surface.editor.page
    surface.editor.ask(TOGGLE)
    page.locator(INPUT).first.wait_for()
    page.locator(INPUT).first.fill(word)
    page.wait_for_timeout(1000)
    rows = list(dict.fromkeys(surface.editor.ask(ROWS)))
    page.keyboard.press("Escape")
    page.locator(INPUT).first.wait_for(state="hidden")
    return rows


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("word", WANTED)
def test_the_node_one_wants_is_among_the_first_five(surface, box, word):
    setting = "box => app.extensionManager.setting.set('Comfy.NodeSearchBoxImpl', box)"
    surface.editor.ask(setting, box)
    rows = found(surface, word)
    assert WANTED[word] in rows[:5], rows
