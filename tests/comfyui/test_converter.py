"""The drawings of `drawn.py` in the real editor: what its page exports is what was recorded, and what we export."""

import pytest
from comfyui import browser
from comfyui.browser import what_is_missing
from comfyui.server import running_server
from record_converter import exported, prepare, served
from test_converter import DRAWN, MOMENT, OURS

from svd_nodes.headless.editor import export
from svd_nodes.headless.placeholders import filled

MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture(scope="module")
def page(checkout, tmp_path_factory):
    """The nodes' descriptions there, and the exports of all drawings."""
    base = tmp_path_factory.mktemp("converter") / "base"
    with running_server(checkout, base) as server:
        prepare(base)
        server.post("/api/settings", browser.SETTINGS)
        with browser.opened(server.port) as editor:
            return served(server.get), exported(editor, {name: case["document"] for name, case in DRAWN.items()})


@pytest.mark.parametrize("name", DRAWN)
def test_we_export_what_the_page_does(name, page, checkout):
    infos, exports = page
    if (name, checkout.version) not in OURS:
        assert filled(export(DRAWN[name]["document"], infos).prompt, MOMENT) == exports[name]


def test_the_record_is_what_the_page_does(page, checkout):
    """A newer checkout may export otherwise: then tests/record_converter.py, and see what we make of it."""
    recorded = {name: case["exports"].get(checkout.version) for name, case in DRAWN.items()}
    if None in recorded.values():
        pytest.skip(f"nothing was recorded of {checkout.version}")
    assert page[1] == recorded
