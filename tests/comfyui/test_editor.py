"""The saved workflows, and what we save, in the real editor in a headless browser."""

import json
import os
import shutil
import subprocess
import urllib.request
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from comfyui.server import REPOSITORY, interpreter, running_server, why_not

from svd_nodes.headless.media import write_mp4, write_png, write_webp

WORKFLOWS = sorted((REPOSITORY / "workflows").glob("*.json"))
(BLUEPRINT,) = (REPOSITORY / "subgraphs").glob("*.json")


def chromium() -> str | None:
    """The browser: $CHROMIUM_PATH, or one on the path."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, names)), None)


def what_is_missing() -> str:
    """Why these tests cannot run here, or nothing."""
    if reason := why_not():
        return reason
    if chromium() is None:
        return "no Chromium on the path: set CHROMIUM_PATH"
    python = [str(interpreter()), "-c", "import playwright"]
    if subprocess.run(python, capture_output=True, check=False).returncode:
        return "the editor's Python has no Playwright"
    return ""


MISSING = what_is_missing()
pytestmark = [pytest.mark.comfyui, pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("editor") / "base") as running:
        running.post("/api/settings", {"Comfy.TutorialCompleted": True, "Comfy.Canvas.NavigationMode": "custom"})
        yield running


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A film, an animation and a picture with the quickstart inside, as headless runs write them."""
    folder, frames = tmp_path_factory.mktemp("saved"), torch.rand(3, 32, 32, 3)
    document = json.loads((REPOSITORY / "workflows" / "quickstart.json").read_text())
    metadata = {"prompt": twin(Path("quickstart.json")), "workflow": document}
    write_mp4(folder / "both.mp4", frames, Fraction(7), metadata)
    write_webp(folder / "both.webp", frames, 7, metadata, lossless=False, quality=80)
    write_png(folder / "both.png", frames[0], metadata)
    write_mp4(folder / "prompt.mp4", frames, Fraction(7), {"prompt": metadata["prompt"]})
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def opened(server, saved):
    """What the editor makes of each file."""
    script = Path(__file__).with_name("drive_editor.py")
    command = [interpreter(), script, server.port, chromium(), *WORKFLOWS, BLUEPRINT, *saved]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def twin(path: Path):
    return json.loads((REPOSITORY / "workflows" / "api" / path.name).read_text())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_editor_exports_the_api_twin(path, opened):
    assert opened["files"][str(path)] == twin(path)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_opens_readable_whole_and_with_every_wire_in_view(path, opened):
    scale = 0.67 if path.stem == "compare_motion" else 0.76  # what is smaller cannot be read
    assert json.loads(path.read_text())["extra"]["ds"]["scale"] >= scale
    assert opened["outside"][str(path)] == []
    assert opened["behind"][str(path)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_editor_says_where_a_missing_model_comes_from(path, opened):
    missing = "checkpoints / svd_xt.safetensors" in opened["dialogs"][str(path)]
    assert missing == (twin(path)["1"]["inputs"]["checkpoint"] == "svd_xt.safetensors")


def test_the_blueprint_opens_as_the_chain_that_it_is(opened):
    """The same nodes as in the template, wired the same way, from the fitted picture to the frames."""
    inside = {id.split(":")[1]: node for id, node in opened["files"][str(BLUEPRINT)].items()}
    template = twin(Path("image_to_video.json"))
    assert inside.keys() == {"1", "3", "4", "5", "6", "8", "9"}
    for id, node in inside.items():
        for value in node["inputs"].values():
            if isinstance(value, list):
                value[0] = value[0].split(":")[1]
        expected = {name: value for name, value in template[id]["inputs"].items() if value != ["2", 0]}
        assert (node["class_type"], node["inputs"]) == (template[id]["class_type"], expected)


def test_the_example_picture_is_brought_when_a_template_names_it(opened, server):
    brought = server.base / "input" / "lighthouse.png"
    assert brought.read_bytes() == (REPOSITORY / "web" / "pictures" / "lighthouse.png").read_bytes()
    assert [path.name for path in brought.parent.iterdir() if path.is_file()] == ["lighthouse.png"]


def test_the_page_throws_nothing(opened):
    assert opened["errors"] == []


def test_what_we_save_opens_in_the_editor(opened, saved):
    for path in saved:
        assert opened["files"][str(path)] == twin(Path("quickstart.json")), path.name


def test_templates_and_thumbnails_are_served(server):
    (names,) = [names for pack, names in server.get("/api/workflow_templates").items() if pack == "svd-nodes"]
    assert sorted(names) == [path.stem for path in WORKFLOWS]
    for name in names:
        url = f"http://127.0.0.1:{server.port}/api/workflow_templates/svd-nodes/{name}.jpg"
        with urllib.request.urlopen(url, timeout=30) as reply:
            assert reply.read(3) == b"\xff\xd8\xff"
