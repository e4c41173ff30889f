"""Our panels inside a subgraph: the blueprint, opened and entered."""

import pytest
from comfyui import surface as surfaces
from comfyui.browser import what_is_missing
from comfyui.server import REPOSITORY
from comfyui.surface import RENDERERS

MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

(BLUEPRINT,) = (REPOSITORY / "subgraphs").glob("*.json")
# The blueprint's node between a picture and something to run for, set to the miniature and to little work.
COMPLETE = """() => {
  svd.outer = app.graph._nodes.find(node => node.subgraph)
  const settings = {checkpoint: "svd_nano.safetensors", width: 128, height: 128, frames: 4, steps: 6}
  for (const widget of svd.outer.widgets) if (widget.name in settings) widget.value = settings[widget.name]
  const picture = app.graph.add(LiteGraph.createNode("LoadImage")) ?? app.graph._nodes.at(-1)
  picture.widgets[0].value = "lighthouse.png"
  picture.connect(0, svd.outer, "image")
  const shown = app.graph.add(LiteGraph.createNode("PreviewImage")) ?? app.graph._nodes.at(-1)
  svd.outer.connect(0, shown, "images")
}"""
# From here on, the helpers look into the subgraph that is on view.
ENTER = """() => {
  svd.node = kind => app.canvas.graph.nodes.find(node => node.comfyClass === kind)
  app.canvas.openSubgraph(svd.outer.subgraph, svd.outer)
}"""


@pytest.fixture(scope="module", params=RENDERERS, ids=lambda renderer: renderer.name)
def surface(checkout, request, tmp_path_factory):
    with surfaces.opened(checkout, tmp_path_factory.mktemp("subgraph") / "base", request.param) as surface:
        surface.editor.open(BLUEPRINT)
        surface.editor.ask(COMPLETE)
        surface.editor.ask(ENTER)
        yield surface


def test_panels_are_drawn_on_entering(surface):
    """With what stands on the node outside: no window gets the focus here."""
    surface.wait_for("StableVideoSample", "guidance 1 → 3")
    surface.wait_for("StableVideoSample", "≈ ")
    surface.wait_for("StableVideoDecode", "≈ ")
    surface.wait_for("StableVideoCondition", "the model is told fps 6")
    bars = "svd.panel('StableVideoSample').querySelector('path').getAttribute('d').split('M').length - 1"
    assert surface.editor.ask(bars) == 4


def test_the_clip_moves_inside_and_nothing_else_does(surface):
    surface.editor.ask("app.queuePrompt(0)")
    surface.editor.wait(surfaces.PREVIEW_MOVES)
    surface.finish()
    surface.take_picture(f"inside-{surface.name}")
    assert "b_preview_with_metadata" not in surface.editor.ask("svd.told")


def test_the_page_complains_of_nothing(surface):
    core_s_own = "Attempted to cleanup event listeners for graph that was never set up"  # of front end 1.27
    assert [text for text in surface.editor.complaints if text != core_s_own] == []
