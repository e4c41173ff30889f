"""The pack as a guest in the real editor: light to import, cancelled at once, nothing left behind after its runs.

How long each takes is measured by bench/citizenship.
"""

import json
import shutil
import zipfile

import pytest
from comfyui.server import REPOSITORY, inside, install, running_server
from test_archive import pack

from svd_nodes.bench import citizenship
from svd_nodes.svd.saving import save
from svd_nodes.tools.random_checkpoint import preset_models

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

HEAVY = {"transformers", "diffusers", "triton", "torch._dynamo", "torch._inductor", "torch.distributed", "av", "scipy"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("inside") / "base"
    install(base)
    save(preset_models("tiny"), base / "models" / "checkpoints" / "svd_tiny.safetensors", "single")
    return base


@pytest.fixture(scope="module")
def server(checkout, tmp_path_factory):
    with running_server(checkout, tmp_path_factory.mktemp("citizenship") / "base") as running:
        citizenship.prepare(running)
        yield running


def test_loading_the_pack_imports_nothing_heavy(checkout, base):
    """Where the editor has imported one of these already, it costs nothing and does not count."""
    assert HEAVY.isdisjoint(inside(checkout, base, "imports"))


def test_no_layer_runs_after_cancel(checkout, base):
    """A step of a large clip takes a CPU minutes: cancel is looked at within it."""
    nothing = {"EncodeClip": [], "EncodeLatent": [], "Sample": [], "Decode": []}
    assert inside(checkout, base, "cancelled") == nothing


def test_nothing_is_left_of_a_run(checkout, base):
    """No layer and no tensor more after three runs than after one, in which libraries make some of their own."""
    first, second, third = inside(checkout, base, "left")
    assert first == second == third


@pytest.mark.parametrize("node", ["StableVideoEncodeLatent", "StableVideoSample"])
def test_a_single_long_step_can_be_cancelled(server, node):
    """The run ends as interrupted, in a node that is one long step: else this raises."""
    citizenship.seconds_to_cancel(server, node)


def test_the_packed_archive_runs_the_quickstart_on_a_fresh_install(checkout, tmp_path):
    base = tmp_path / "base"
    for folder in ("input", "output", "models/checkpoints", "user", "custom_nodes/svd-nodes"):
        (base / folder).mkdir(parents=True)
    zipfile.ZipFile(pack(tmp_path)).extractall(base / "custom_nodes" / "svd-nodes")
    shutil.copy(REPOSITORY / "web" / "pictures" / "lighthouse.png", base / "input")
    with running_server(checkout, base) as server:
        assert server.text("/extensions/svd-nodes/docs/StableVideoSample.md").startswith("# SVD Sampler")
        assert "quickstart" in server.get("/api/workflow_templates")["svd-nodes"]
        workflow = json.loads(server_workflow(base))
        history = server.wait(server.queue(workflow), 3600)
        assert history["status"]["status_str"] == "success", history["status"]
        (film,) = server.files(history)
        assert film.stat().st_size > 10_000


def server_workflow(base):
    return (base / "custom_nodes" / "svd-nodes" / "workflows" / "api" / "quickstart.json").read_text()
