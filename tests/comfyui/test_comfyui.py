"""The pack in a real ComfyUI, on the CPU, in one server session of each checkout.

Skips unless checkouts are at $COMFYUI_PATH or one is at comfy-cli's default place. The checkouts are not touched.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
import torch
from comfyui.server import REPOSITORY, Refused, Server, running_server
from PIL import Image
from record_object_info import LATER, RECORD, without, without_place

from svd_nodes.headless.core_images import ImageStitch
from svd_nodes.nodes import NODES
from svd_nodes.nodes.host import folders, standalone
from svd_nodes.svd.saving import save
from svd_nodes.tools.random_checkpoint import preset_models

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]

WORKFLOWS = sorted((REPOSITORY / "workflows" / "api").glob("*.json"))
CORE_LOADERS = ("CheckpointLoaderSimple", "ImageOnlyCheckpointLoader")  # they take models of the full size alone
SMALL = {
    "StableVideoFitImage": {"width": 64, "height": 48},
    "StableVideoSigmas": {"steps": 2},
    "StableVideoSample": {"frames": 3, "steps": 2},
}


@pytest.fixture(scope="module")
def server(checkout, tmp_path_factory):
    base = tmp_path_factory.mktemp("comfyui") / "base"
    with running_server(checkout, base, "--preview-method", "latent2rgb") as running:
        yield running


@pytest.fixture(scope="module")
def checkpoints(server: Server) -> Server:
    """The server once its folders hold what the workflows name: tiny checkpoints, and pictures."""
    home = server.base / "models" / "checkpoints"
    save(preset_models("tiny"), home / "svd_tiny.safetensors", "single")
    for workflow in map(read, WORKFLOWS):
        loaders = inputs_of(workflow, "StableVideoLoadCheckpoint", *CORE_LOADERS)
        for name in [inputs.get("checkpoint") or inputs["ckpt_name"] for inputs in loaders]:
            if not (home / name).exists():
                shutil.copy(home / "svd_tiny.safetensors", home / name)
        for inputs in inputs_of(workflow, "LoadImage"):
            picture(server.base / "input" / inputs["image"])
    picture(server.base / "input" / "picture.png")
    return server


def picture(path: Path) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC).save(path)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def inputs_of(workflow: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    return [node["inputs"] for node in workflow.values() if node["class_type"] in kinds]


def small(workflow: dict[str, Any]) -> dict[str, Any]:
    """A workflow at a size that a CPU does in seconds."""
    for kind, changes in SMALL.items():
        for inputs in inputs_of(workflow, kind):
            inputs.update(changes)
    return workflow


def without_core_models(workflow: dict[str, Any]) -> dict[str, Any]:
    """A workflow without what hangs on core's own loaders; a picture from a file stands in for a painted one."""
    if "16" in workflow and workflow["16"]["class_type"] == "VAEDecode":
        workflow = workflow | {"16": {"class_type": "LoadImage", "inputs": {"image": "lighthouse.png"}}}
    gone = {id for id, node in workflow.items() if node["class_type"] in CORE_LOADERS}
    while more := {id for id, node in workflow.items() if id not in gone and gone & set(sources(node))}:
        gone |= more
    return {id: node for id, node in workflow.items() if id not in gone}


def sources(node: dict[str, Any]) -> list[str]:
    return [value[0] for value in node["inputs"].values() if isinstance(value, list)]


def chain(**sampling: Any) -> dict[str, Any]:
    """The whole chain into PNG files, in API form. The sampler is node 6."""
    settings = {"frames": 3, "steps": 2, "min_guidance": 1.0, "max_guidance": 3.0, "guidance": "linear", "seed": 5}
    nodes = [
        ("StableVideoLoadCheckpoint", {"checkpoint": "svd_tiny.safetensors", "precision": "auto"}),
        ("LoadImage", {"image": "picture.png"}),
        ("StableVideoFitImage", {"image": ["2", 0], "width": 64, "height": 48, "fit": "crop"}),
        ("StableVideoEncodeClip", {"clip": ["1", 1], "image": ["3", 0]}),
        ("StableVideoEncodeLatent", {"vae": ["1", 2], "image": ["3", 0], "noise_aug_strength": 0.02, "seed": 5}),
        ("StableVideoSample", {"model": ["1", 0], "conditioning": ["7", 0], **settings, **sampling}),
        ("StableVideoCondition", {"embedding": ["4", 0], "image_latent": ["5", 0], "fps": 7, "motion_bucket_id": 127}),
        ("StableVideoDecode", {"vae": ["1", 2], "latent": ["6", 0], "frames_per_chunk": 14}),
        ("SaveImage", {"images": ["8", 0], "filename_prefix": "clip"}),
    ]
    return {str(i): {"class_type": kind, "inputs": inputs} for i, (kind, inputs) in enumerate(nodes, start=1)}


def pixels(server: Server, history: dict[str, Any]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in server.files(history)])


def test_the_pack_loads_without_a_warning(server):
    lines = [line for line in server.log.splitlines() if "svd-nodes" in line or "svd_nodes" in line]
    assert len(lines) == 1, lines
    assert "seconds: " in lines[0]
    assert "Traceback" not in server.log


def test_object_info_equals_the_record(server):
    """In all that is recorded: newer editors say more about a node, and older ones not yet all of it."""
    ours = {node.GET_SCHEMA().node_id for node in NODES}
    shown = {id: info for id, info in server.get("/object_info").items() if id in ours}
    record = without({name for name in LATER if f'"{name}"' not in json.dumps(shown)}, read(RECORD))
    assert record.keys() == ours
    assert as_recorded(without_place(shown), record) == record


def as_recorded(shown: Any, record: Any) -> Any:
    """What is shown, without the keys that the record does not have."""
    if not (isinstance(shown, dict) and isinstance(record, dict)):
        if isinstance(shown, list) and isinstance(record, list) and len(shown) == len(record):
            return [as_recorded(*pair) for pair in zip(shown, record, strict=True)]
        return shown
    return {key: as_recorded(value, record[key]) for key, value in shown.items() if key in record}


def test_core_s_loaders_do_not_offer_the_pack_s_checkpoints(server):
    """They could not open them."""
    own = server.base / "custom_nodes" / "svd-nodes" / "assets" / "checkpoints" / "svd_pack.safetensors"
    own.parent.mkdir()
    save(preset_models("tiny"), own, "single")
    try:
        ours = server.get("/object_info/StableVideoLoadCheckpoint")
        assert "'svd_pack.safetensors'" in str(ours)
        assert "svd_pack.safetensors" not in str(server.get("/object_info/CheckpointLoaderSimple"))
    finally:
        own.unlink()


def test_help_pages_and_their_pictures_are_served(server):
    page = server.text("/extensions/svd-nodes/docs/StableVideoSample.md")
    assert page.startswith("# SVD Sampler (Euler)")
    for source in re.findall(r"\]\((.*?)\)", page):
        url = f"http://127.0.0.1:{server.port}/extensions/svd-nodes/docs/{source}"
        with urllib.request.urlopen(url, timeout=30) as reply:
            assert reply.read(4) == b"RIFF"


def test_translations_are_served(server):
    for language, texts in server.get("/i18n").items():
        for name in ("main", "nodeDefs"):
            ours = read(REPOSITORY / "locales" / language / f"{name}.json")
            assert (texts if name == "main" else texts[name]).items() >= ours.items()
    assert set(server.get("/i18n")) == {path.name for path in (REPOSITORY / "locales").iterdir()}


def test_a_fresh_install_says_what_to_do(server):
    loader = server.get("/object_info/StableVideoLoadCheckpoint")["StableVideoLoadCheckpoint"]
    assert loader["input"]["required"]["checkpoint"][1]["options"] == [folders.NO_CHECKPOINT]
    picture(server.base / "input" / "picture.png")
    prompt = chain()
    prompt["1"]["inputs"]["checkpoint"] = folders.NO_CHECKPOINT
    with pytest.raises(Refused) as refused:
        server.queue(prompt)
    told = sentences(refused.value, "1")
    assert (
        told.count("There is no checkpoint yet: get svd_xt.safetensors from https://huggingface.co/stabilityai/") == 1
    )
    prompt["1"]["inputs"]["checkpoint"] = "svd_xt.safetensors"
    with pytest.raises(Refused) as refused:
        server.queue(prompt)
    told = sentences(refused.value, "1")
    assert told.count("There is no checkpoint called 'svd_xt.safetensors': get it from https://huggingface.co/") == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_workflow_runs(checkpoints, path):
    history = checkpoints.run(small(without_core_models(read(path))))
    assert all(file.stat().st_size > 0 for file in checkpoints.files(history))
    assert checkpoints.files(history)


@pytest.mark.parametrize("name", ["from_core", "text_to_video"])
def test_core_accepts_the_whole_of_what_it_takes_part_in(checkpoints, name):
    """All links, types and values pass core's own check; the run ends at its loader, which refuses a tiny model."""
    prompt = small(read(REPOSITORY / "workflows" / "api" / f"{name}.json"))
    error = dict(checkpoints.wait(checkpoints.queue(prompt))["status"]["messages"])["execution_error"]
    assert error["node_type"] in CORE_LOADERS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_each_workflow_runs_from_comfy_cli(checkout, checkpoints, path, tmp_path):
    tool = shutil.which("comfy", path=os.pathsep.join([str(checkout.python.parent), os.environ.get("PATH", "")]))
    if tool is None:
        pytest.skip("comfy-cli is not installed beside ComfyUI")
    workflow = small(without_core_models(read(path)))
    for inputs in inputs_of(workflow, "StableVideoSample"):
        inputs["seed"] = 11
    (tmp_path / "workflow.json").write_text(json.dumps(workflow))
    command = [tool, "--skip-prompt", "run", "--workflow", str(tmp_path / "workflow.json"), "--wait"]
    command += ["--host", "127.0.0.1", "--port", str(checkpoints.port)]
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"ok": true' in done.stdout


def test_the_log_names_the_networks(checkpoints):
    checkpoints.run(chain(seed=41))
    for name in ("SVD_UNet", "SVD_VAE", "SVD_CLIP"):
        assert f"Requested to load {name}\n" in checkpoints.log


def test_the_second_run_executes_nothing(checkpoints):
    prompt = chain(seed=21)
    checkpoints.run(prompt)
    messages = dict(checkpoints.run(prompt)["status"]["messages"])
    assert set(messages["execution_cached"]["nodes"]) == set(prompt)


def test_a_replaced_checkpoint_is_loaded_again(checkpoints):
    prompt = chain(seed=22)
    prompt["1"]["inputs"]["checkpoint"] = "svd_replaced.safetensors"
    file = checkpoints.base / "models" / "checkpoints" / "svd_replaced.safetensors"
    save(preset_models("tiny", seed=1), file, "single")
    before = pixels(checkpoints, checkpoints.run(prompt))
    save(preset_models("tiny", seed=2), file, "single", overwrite=True)
    assert not np.array_equal(before, pixels(checkpoints, checkpoints.run(prompt)))


def test_the_editor_and_the_standalone_host_make_the_same_frames(checkpoints):
    """Same seed, same picture, same weights; two processes, the editor's layers and memory manager in one of them."""
    history = checkpoints.run(chain())
    by_id = {node.GET_SCHEMA().node_id: node for node in NODES}
    image = torch.from_numpy(np.asarray(Image.open(checkpoints.base / "input" / "picture.png")) / 255.0).float()[None]
    results: dict[str, tuple] = {"2": (image,)}
    session = standalone.Session((checkpoints.base / "models" / "checkpoints",), torch.device("cpu"))
    with session.active(), torch.inference_mode():
        for id in ("1", "3", "4", "5", "7", "6", "8"):
            node = chain()[id]
            inputs = {k: results[v[0]][v[1]] if isinstance(v, list) else v for k, v in node["inputs"].items()}
            results[id] = by_id[node["class_type"]].execute(**inputs).result
    here = (results["8"][0].numpy() * 255).clip(0, 255).astype(np.uint8)
    assert np.abs(here.astype(int) - pixels(checkpoints, history)).max() <= 1


@pytest.mark.parametrize("direction", ["right", "up"])
@pytest.mark.parametrize(("match", "spacing"), [(True, 0), (True, 6), (False, 5)])
def test_pictures_are_put_together_as_core_does_it(checkpoints, direction, match, spacing):
    """Pixels within the rounding and the filter of a resize; where nothing is resized, the same."""
    files = ["picture.png", "lighthouse.png"]
    Image.new("RGB", (120, 90), "teal").save(checkpoints.base / "input" / "lighthouse.png")
    load = {str(i): {"class_type": "LoadImage", "inputs": {"image": name}} for i, name in enumerate(files)}
    look = {"direction": direction, "match_image_size": match, "spacing_width": spacing, "spacing_color": "red"}
    both = {"class_type": "ImageStitch", "inputs": look | {"image1": ["0", 0], "image2": ["1", 0]}}
    save = {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "stitched"}}
    theirs = pixels(checkpoints, checkpoints.run(load | {"2": both, "3": save}))
    ours = [
        torch.from_numpy(np.asarray(Image.open(checkpoints.base / "input" / n)) / 255.0).float()[None] for n in files
    ]
    result = ImageStitch.execute(ours[0], direction, match, spacing, "red", ours[1]).args[0]
    assert np.abs((result.numpy() * 255).round() - theirs).max() <= 2


def test_cancel_in_mid_sampling_and_the_next_run_is_right(checkpoints):
    websocket = pytest.importorskip("websocket", reason="needs websocket-client")
    before = pixels(checkpoints, checkpoints.run(chain(seed=31)))
    checkpoints.forget()
    client = uuid.uuid4().hex
    socket = websocket.create_connection(f"ws://127.0.0.1:{checkpoints.port}/ws?clientId={client}", timeout=600)
    prompt_id = checkpoints.queue(chain(seed=32, steps=1000), client)
    steps, previews = [], 0
    for message in iter(socket.recv, None):
        if isinstance(message, bytes):
            previews += 1
            continue
        event = json.loads(message)
        if event["type"] == "progress" and event["data"]["node"] == "6":
            steps.append(event["data"]["value"])
            if len(steps) == 3:
                checkpoints.post("/interrupt", {})
        if event["type"] in ("execution_interrupted", "execution_success", "execution_error"):
            break
    socket.close()
    assert event["type"] == "execution_interrupted"
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) < 1000
    assert previews > 0
    assert not checkpoints.wait(prompt_id)["outputs"]
    checkpoints.forget()
    assert np.array_equal(before, pixels(checkpoints, checkpoints.run(chain(seed=31))))


def previews_of(server: Server, prompt: dict[str, Any], client: str) -> tuple[list[dict[str, Any]], int]:
    """A run's moving clips, and how many of core's previews came, as a page sees them."""
    websocket = pytest.importorskip("websocket", reason="needs websocket-client")
    socket = websocket.create_connection(f"ws://127.0.0.1:{server.port}/ws?clientId={client}", timeout=600)
    server.queue(prompt, client)
    clips, core = [], 0
    for message in iter(socket.recv, None):
        if isinstance(message, bytes):
            core += 1
            continue
        event = json.loads(message)
        if event["type"] == "svd-nodes.clip":
            clips.append(event["data"])
        if event["type"] in ("execution_success", "execution_error"):
            break
    socket.close()
    assert event["type"] == "execution_success"
    return clips, core


def test_a_page_that_asks_sees_the_whole_clip_and_another_sees_core_s_preview(checkpoints):
    page, other = uuid.uuid4().hex, uuid.uuid4().hex
    checkpoints.post("/svd-nodes/previews", {"client": page, "wanted": True})
    clips, core = previews_of(checkpoints, chain(seed=51, steps=200), page)
    assert core == 0
    assert 2 <= len(clips) < 200, "every step would be too often, and the last must come"
    assert (clips[-1]["step"], clips[-1]["total"], clips[-1]["node"]) == (200, 200, "6")
    picture = Image.open(BytesIO(base64.b64decode(clips[-1]["jpeg"])))
    assert picture.size == (clips[-1]["width"], 3 * clips[-1]["height"]) == (8, 18)
    clips, core = previews_of(checkpoints, chain(seed=52), other)
    assert not clips
    assert core > 0
    checkpoints.post("/svd-nodes/previews", {"client": page, "wanted": False})
    clips, core = previews_of(checkpoints, chain(seed=53), page)
    assert not clips
    assert core > 0


def test_previews_that_are_off_stay_off(checkout, tmp_path):
    with running_server(checkout, tmp_path / "base", "--preview-method", "none") as server:
        save(preset_models("tiny"), server.base / "models" / "checkpoints" / "svd_tiny.safetensors", "single")
        picture(server.base / "input" / "picture.png")
        server.post("/svd-nodes/previews", {"client": "page", "wanted": True})
        assert previews_of(server, chain(), "page") == ([], 0)


def test_the_clip_moves_in_an_editor_that_was_told_nothing_of_previews(checkout, tmp_path):
    """By itself the editor starts without core's."""
    with running_server(checkout, tmp_path / "base") as server:
        save(preset_models("tiny"), server.base / "models" / "checkpoints" / "svd_tiny.safetensors", "single")
        picture(server.base / "input" / "picture.png")
        server.post("/svd-nodes/previews", {"client": "page", "wanted": True})
        clips, core = previews_of(server, chain(), "page")
        assert clips
        assert core == 0


@pytest.mark.parametrize("asked", [{}, [], "x", {"wanted": True, "client": None}, {"wanted": 1, "client": "page"}])
def test_a_question_for_previews_that_is_none_is_refused(checkpoints, asked):
    with pytest.raises(Refused, match="Give wanted"):
        checkpoints.post("/svd-nodes/previews", asked)


def test_a_shorter_run_does_not_change_what_is_known_of_a_longer_one(checkpoints):
    asked = {"checkpoint": "svd_tiny.safetensors", "precision": "auto", "width": 64, "height": 48, "frames": 3}
    asked |= {"memory": "auto", "steps": 30, "frames_per_chunk": 14, "guided": 1}
    checkpoints.run(chain(seed=55, steps=30))
    known = checkpoints.get(f"/svd-nodes/estimate?{urlencode(asked)}")["sampling_seconds"]
    checkpoints.run(chain(seed=56, steps=1))
    assert checkpoints.get(f"/svd-nodes/estimate?{urlencode(asked)}")["sampling_seconds"] == known


def test_the_server_says_what_a_run_needs_and_how_long_it_took(checkpoints):
    asked = {"checkpoint": "svd_tiny.safetensors", "precision": "auto", "width": 64, "height": 48, "frames": 3}
    asked |= {"memory": "auto", "steps": 2, "frames_per_chunk": 14, "guided": 1}
    checkpoints.run(chain(seed=54))
    told = checkpoints.get(f"/svd-nodes/estimate?{urlencode(asked)}")
    assert told["card"] > told["sampling"] > 0
    assert told["sampling_seconds"] > 0
    assert told["decoding_seconds"] > 0
    with pytest.raises(urllib.error.HTTPError) as refused:
        checkpoints.get(f"/svd-nodes/estimate?{urlencode(asked | {'frames': 0})}")
    assert refused.value.code == 400
    assert json.load(refused.value)["error"] == "frames is '0': it must be a whole number between 1 and 1024."


def sentences(refused: Refused, node: str) -> str:
    return " ".join(error["details"] for error in refused.reply["node_errors"][node]["errors"])


@pytest.mark.parametrize(
    ("node", "changes", "sentence"),
    [
        ("1", {"checkpoint": "missing.safetensors"}, "There is no checkpoint called 'missing.safetensors'"),
        ("1", {"checkpoint": "../../outside.safetensors"}, "There is no checkpoint called"),
        ("3", {"width": 500, "height": 576}, "The size 500 x 576 does not divide by 8: use 496 x 576."),
        ("5", {"noise_aug_strength": -1}, "noise_aug_strength is -1"),
        ("6", {"min_guidance": -3.0}, "min_guidance is -3: it must be between 0 and 100."),
        ("6", {"guidance": "cosine"}, "guidance is 'cosine'"),
        ("6", {"frames": 0}, "frames"),
        ("6", {"steps": 0}, "steps"),
        ("6", {"seed": 2**64}, "seed"),
        ("6", {"churn": -1}, "churn"),
        ("6", {"max_guidance": "much"}, "max_guidance"),
        ("3", {"width": "wide"}, "width"),
        ("8", {"frames_per_chunk": 0}, "frames_per_chunk is 0: it must be between 1 and 1024."),
        ("7", {"fps": 0}, "fps"),
    ],
)
def test_bad_inputs_are_refused_with_a_sentence(checkpoints, node, changes, sentence):
    prompt = chain()
    prompt[node]["inputs"].update(changes)
    with pytest.raises(Refused) as refused:
        checkpoints.queue(prompt)
    assert sentence in sentences(refused.value, node)


def test_sigmas_the_wrong_way_round_are_refused(checkpoints):
    prompt = chain(sigmas=["10", 0])
    numbers = {"schedule": "karras", "steps": 2, "sigma_max": 1.0, "sigma_min": 2.0, "rho": 7.0}
    prompt["10"] = {"class_type": "StableVideoSigmas", "inputs": numbers}
    with pytest.raises(Refused) as refused:
        checkpoints.queue(prompt)
    assert "sigma_min 2.0 is above sigma_max 1.0: swap them." in sentences(refused.value, "10")


@pytest.mark.parametrize(("node", "name"), [("1", "precision"), ("3", "fit")])
def test_a_choice_that_is_none_is_refused(checkpoints, node, name):
    """By our sentence in the run; newer servers look at choices before it, and say their own."""
    prompt = chain()
    prompt[node]["inputs"][name] = "none"
    assert re.search(rf"{name} is 'none': choose one of|{name}: 'none' not in", told_of(checkpoints, prompt, node))


def told_of(server: Server, prompt: dict[str, Any], node: str) -> str:
    """What is said of a node whose prompt is refused before the run or in it."""
    try:
        prompt_id = server.queue(prompt)
    except Refused as refused:
        return sentences(refused, node)
    error = dict(server.wait(prompt_id)["status"]["messages"])["execution_error"]
    return error["exception_message"] if error["node_id"] == node else ""


def test_a_failing_run_says_one_sentence(checkpoints):
    """A fault that only shows in the run: the first node's file is no SVD checkpoint."""
    (checkpoints.base / "models" / "checkpoints" / "broken.safetensors").write_bytes(b"not a checkpoint")
    prompt = chain()
    prompt["1"]["inputs"]["checkpoint"] = "broken.safetensors"
    messages = dict(checkpoints.wait(checkpoints.queue(prompt))["status"]["messages"])
    error = messages["execution_error"]
    assert error["node_id"] == "1"
    assert error["exception_type"].endswith("InputError")
    assert "\n" not in error["exception_message"].strip()
