"""With dynamic VRAM, the default on most cards, the editor's layers are empty until they are loaded.

The editor leaves it off without a card; here its flag is set by hand, in a process of the checkout's own.
"""

import numpy as np
import pytest
from comfyui import surface as surfaces
from comfyui.browser import what_is_missing
from comfyui.server import inside, install
from comfyui.surface import PREVIEW_MOVES, QUICKSTART, RENDERERS

from svd_nodes.svd.saving import save
from svd_nodes.tools.random_checkpoint import preset_models

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


def test_a_clip_has_the_same_bits_with_it(checkout, tmp_path):
    skip_without(checkout)
    install(tmp_path / "base")
    home = tmp_path / "base" / "models" / "checkpoints"
    save(preset_models("tiny"), home / "svd_tiny.safetensors", "single")
    without, having = (np.array(inside(checkout, tmp_path / "base", "clip", on)) for on in (False, True))
    assert without.std() > 0.01
    assert np.array_equal(without, having)


@pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing())
@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: renderer.name)
@pytest.mark.parametrize("dynamic_vram", [False, True], ids=["without", "with"])
def test_the_quickstart_runs_in_the_page(checkout, renderer, dynamic_vram, tmp_path):
    if dynamic_vram:
        skip_without(checkout)
    with surfaces.opened(checkout, tmp_path / "base", renderer, dynamic_vram=dynamic_vram) as surface:
        surface.editor.open(QUICKSTART)
        surface.wait_for("StableVideoSample", "≈ ")
        surface.run(seed=1)
        surface.editor.wait(PREVIEW_MOVES)
        surface.finish()
        (run,) = surface.server.get("/history").values()
        assert run["status"]["status_str"] == "success", run["status"]
        assert all(file.stat().st_size > 0 for file in surface.server.files(run))
        assert surface.editor.complaints == []
        surface.take_picture(f"quickstart-{checkout.version}-{renderer.name}-{dynamic_vram}")


def skip_without(checkout):
    if not checkout.has_dynamic_vram:
        pytest.skip(f"ComfyUI {checkout.version} has no dynamic VRAM")
