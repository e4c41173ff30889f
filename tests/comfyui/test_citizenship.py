"""The pack as a guest in the real server: quick to import, quick to cancel, and no heavier after many runs."""

import json
import shutil
import zipfile

import pytest
from comfyui.server import REPOSITORY, running_server, why_not
from test_archive import pack

from svd_nodes.bench import citizenship

pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("citizenship") / "base") as running:
        citizenship.prepare(running)
        yield running


def test_the_server_imports_it_in_no_time(server):
    assert citizenship.import_seconds(server) <= 0.3


@pytest.mark.parametrize("node", ["StableVideoEncodeLatent", "StableVideoSample"])
def test_a_single_long_step_can_be_cancelled(server, node):
    """Each would take half a minute and more; a second on a machine of one's own, some more on a shared one."""
    assert citizenship.seconds_to_cancel(server, node) < 5


def test_memory_comes_back(server):
    first, _, last = citizenship.memory_after(server, 8)
    assert last - first < 100  # MB; a run of this size makes 60 MB of weights and results


def test_the_packed_archive_runs_the_quickstart_on_a_fresh_install(tmp_path):
    base = tmp_path / "base"
    for folder in ("input", "output", "models/checkpoints", "user", "custom_nodes/svd-nodes"):
        (base / folder).mkdir(parents=True)
    zipfile.ZipFile(pack(tmp_path)).extractall(base / "custom_nodes" / "svd-nodes")
    shutil.copy(REPOSITORY / "web" / "pictures" / "lighthouse.png", base / "input")
    with running_server(base) as server:
        assert server.text("/extensions/svd-nodes/docs/StableVideoSample.md").startswith("# SVD Sampler")
        assert "quickstart" in server.get("/api/workflow_templates")["svd-nodes"]
        workflow = json.loads(server_workflow(base))
        history = server.wait(server.queue(workflow), 600)
        assert history["status"]["status_str"] == "success", history["status"]
        (film,) = server.files(history)
        assert film.stat().st_size > 10_000


def server_workflow(base):
    return (base / "custom_nodes" / "svd-nodes" / "workflows" / "api" / "quickstart.json").read_text()
