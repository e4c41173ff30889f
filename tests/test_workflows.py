"""The saved workflows: both forms say the same, every node of the pack is in one, and they run."""

import json

import av
import pytest
from PIL import Image
from tiny_files import WORKFLOWS, checkpoint, picture, tiny_workflow

from svd_nodes.headless.catalogue import Catalogue
from svd_nodes.headless.check import find_problems
from svd_nodes.headless.core_nodes import Workspace
from svd_nodes.headless.document import portable
from svd_nodes.headless.editor import to_api
from svd_nodes.headless.graph import parse
from svd_nodes.headless.progress import Bars
from svd_nodes.headless.run import Job, run
from svd_nodes.headless.values import specs
from svd_nodes.nodes import NODES
from svd_nodes.tools.workflows import core
from svd_nodes.tools.workflows.__main__ import files
from svd_nodes.tools.workflows.blueprint import NAME, OUTSIDE

NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
BEGINNER = ["image_to_video", "image_to_video_10_steps", "quickstart"]
WITH_CORE = ["from_core", "text_to_video"]  # of their nodes, the editor has some to itself


@pytest.fixture(scope="module")
def infos(tmp_path_factory):
    return core.infos(Workspace(tmp_path_factory.mktemp("output")))


def editor_form(name):
    return json.loads((WORKFLOWS / f"{name}.json").read_text())


def api_form(name):
    return json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())


def test_every_workflow_has_both_forms_and_a_thumbnail():
    ours = ["compare_motion", "from_core", "image_to_video", "image_to_video_10_steps", "quickstart", "text_to_video"]
    assert ours == NAMES
    assert sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json")) == NAMES
    for name in NAMES:
        with Image.open(WORKFLOWS / f"{name}.jpg") as thumbnail:
            assert thumbnail.format == "JPEG"
            assert thumbnail.width >= 300


def test_the_files_are_what_the_tool_writes():
    """After a change of a node or a template: python -m svd_nodes.tools.workflows."""
    for path, document, _ in files(WORKFLOWS.parent):
        assert json.loads(path.read_text()) == document, path.name


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_are_equal(name, infos):
    twin = api_form(name)
    for node in twin.values():  # comfy-cli asks for it where Save Video is a newer editor's
        assert node["inputs"].pop("format.codec", "auto") == "auto"
    assert to_api(editor_form(name), infos) == twin


@pytest.mark.parametrize("name", NAMES)
def test_editor_form_is_sound(name, infos):
    """Every link is named at both its ends, every widget has its value, and no node is out of its group."""
    document = editor_form(name)
    nodes = {node["id"]: node for node in document["nodes"]}
    assert document["version"] == 0.4
    assert document["last_node_id"] == max(nodes)
    assert document["last_link_id"] == max(link[0] for link in document["links"])
    for id, source, output, target, slot, kind in document["links"]:
        assert nodes[target]["inputs"][slot]["link"] == id
        assert id in nodes[source]["outputs"][output]["links"]
        assert {nodes[source]["outputs"][output]["type"], nodes[target]["inputs"][slot]["type"]} == {kind}
    for node in nodes.values():
        if node["type"] in infos:
            widgets = [spec for spec in specs(infos[node["type"]]).values() if spec.is_widget]
            extra = sum(bool(spec.options.get("control_after_generate")) for spec in widgets)
            upload = node["type"] == "LoadImage"
            assert len(node["widgets_values"]) == len(widgets) + extra + upload
            assert [o["type"] for o in node["outputs"]] == infos[node["type"]]["output"]
            assert any(_inside(node, group["bounding"]) for group in document["groups"])
            assert node.get("title") != infos[node["type"]]["display_name"]  # or it would hide the translated one


def _inside(node, bounding):
    x, y, width, height = bounding
    left, top, right, bottom = *node["pos"], node["pos"][0] + node["size"][0], node["pos"][1] + node["size"][1]
    return x <= left and y <= top and right <= x + width and bottom <= y + height


def test_every_node_is_in_a_workflow():
    used = {node["class_type"] for name in NAMES for node in api_form(name).values()}
    assert {node.GET_SCHEMA().node_id for node in NODES} <= used


@pytest.mark.parametrize("name", NAMES)
def test_no_widget_is_without_effect_unsaid(name):
    """The sampler passes over its own steps while sigmas are connected: where they are, the note says so."""
    connected = any("sigmas" in node["inputs"] for node in api_form(name).values())
    (note,) = [node["widgets_values"][0] for node in editor_form(name)["nodes"] if node["type"] == "MarkdownNote"]
    assert connected == (name == "image_to_video_10_steps") == ("sampler's own **steps** is not used" in note)


def test_the_comparison_differs_in_the_motion_alone():
    nodes = api_form("compare_motion").values()
    told = [node["inputs"] for node in nodes if node["class_type"] == "StableVideoCondition"]
    assert [inputs.pop("motion_bucket_id") for inputs in told] == [16, 30, 60, 90]
    settings = [node["inputs"] for node in nodes if node["class_type"] == "StableVideoSample"]
    for inputs in settings:
        del inputs["conditioning"]
    assert all(inputs == group[0] for group in (told, settings) for inputs in group)


@pytest.mark.parametrize("name", NAMES)
def test_a_beginner_s_template_opens_as_a_form_of_what_is_there(name, infos):
    """App mode: picture, motion, the sampler's seed, and the video. The editor drops others unsaid."""
    extra, nodes = editor_form(name)["extra"], {node["id"]: node for node in editor_form(name)["nodes"]}
    if name not in BEGINNER:
        assert not {"linearData", "linearMode"} & set(extra)
        return
    assert extra["linearMode"] is True
    fields = [(nodes[id]["type"], widget) for id, widget, _ in extra["linearData"]["inputs"]]
    assert fields == [
        ("LoadImage", "image"),
        ("StableVideoCondition", "motion_bucket_id"),
        ("StableVideoSample", "seed"),
    ]
    for kind, widget in fields:
        assert specs(infos[kind])[widget].is_widget
    for _, _, about in extra["linearData"]["inputs"]:
        assert 0 < len(about["description"]) <= 34  # one line of the form, which cuts what is longer
    assert [nodes[id]["type"] for id in extra["linearData"]["outputs"]] == ["SaveVideo"]


def test_both_halves_of_from_core_have_the_same_settings():
    prompt = api_form("from_core")
    theirs, sampler = prompt["22"]["inputs"], prompt["23"]["inputs"]
    ours = {name: value for id in "3568" for name, value in prompt[id]["inputs"].items()}
    renamed = {"video_frames": "frames", "augmentation_level": "noise_aug_strength"}
    shared = {name: v for name, v in theirs.items() if not isinstance(v, list)}
    assert {renamed.get(name, name): v for name, v in shared.items()}.items() <= ours.items()
    assert sampler["cfg"] == ours["max_guidance"]
    assert prompt["21"]["inputs"]["min_cfg"] == ours["min_guidance"]
    assert (sampler["steps"], sampler["seed"]) == (ours["steps"], ours["seed"])


@pytest.mark.parametrize("name", NAMES)
def test_only_files_can_be_missing(name, tmp_path):
    catalogue = Catalogue.of(Workspace(tmp_path, inputs=()))
    problems = find_problems(parse(api_form(name), catalogue.infos), catalogue)
    files = [p for p in problems if "There is no checkpoint" in p or "There is no picture" in p]
    others = [p for p in problems if p not in files]
    assert all('give it this workflow with "svd-nodes queue"' in p for p in others)
    assert bool(others) == (name in WITH_CORE)


def without_core(name, prompt, known):
    """What is left of a workflow without the nodes of the editor alone; a picture file for what they paint."""
    if name == "text_to_video":
        prompt = prompt | {"16": {"class_type": "LoadImage", "inputs": {"image": "lighthouse.png"}}}
    kept = {id: node for id, node in prompt.items() if node["class_type"] in known}
    loose = {
        id
        for id, node in kept.items()
        if any(isinstance(v, list) and v[0] not in kept for v in node["inputs"].values())
    }
    return kept if not loose else without_core("", {id: kept[id] for id in kept.keys() - loose}, known)


@pytest.mark.parametrize("name", NAMES)
def test_runs(name, tmp_path):
    prompt = tiny_workflow(name, checkpoint(tmp_path), picture(tmp_path / "picture.png"))
    prompt = without_core(name, prompt, Catalogue.of(Workspace(tmp_path)).infos)
    (tmp_path / "workflow.json").write_text(json.dumps(prompt))
    with Bars() as bars:
        written = run(Job(tmp_path / "workflow.json", output=tmp_path / "output", device="cpu"), bars)
    (path,) = [path for path in written if path.suffix == ".mp4"]
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        size = (2 * 32 + 8, 2 * 24 + 8) if name == "compare_motion" else (32, 24)
        assert (stream.width, stream.height, stream.frames) == (*size, 3)
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 7
        assert json.loads(film.metadata["prompt"]) == portable(prompt)
        assert str(tmp_path) not in film.metadata["prompt"]


def test_the_blueprint_is_one_subgraph_with_its_ends_connected():
    document = json.loads((WORKFLOWS.parent / "subgraphs" / f"{NAME}.json").read_text())
    (subgraph,), (node,) = document["definitions"]["subgraphs"], document["nodes"]
    assert node["type"] == subgraph["id"]
    assert subgraph["name"] == NAME
    assert [socket["name"] for socket in node["inputs"]] == ["image", *OUTSIDE]
    links, inside = {link["id"]: link for link in subgraph["links"]}, {n["id"]: n for n in subgraph["nodes"]}
    for slot, socket in enumerate(subgraph["inputs"]):
        assert socket["linkIds"]
        for link in map(links.get, socket["linkIds"]):
            assert (link["origin_id"], link["origin_slot"]) == (subgraph["inputNode"]["id"], slot)
            target = inside[link["target_id"]]["inputs"][link["target_slot"]]
            assert (target["link"], target["type"]) == (link["id"], socket["type"])
    assert len(links) == len(subgraph["links"])


def test_runs_in_the_editor_form_and_keeps_the_drawing(tmp_path):
    document = editor_form("quickstart")
    values = {"StableVideoLoadCheckpoint": [str(checkpoint(tmp_path)), "auto"], "StableVideoFitImage": [32, 24, "crop"]}
    values |= {"LoadImage": [str(picture(tmp_path / "picture.png")), "image"]}
    values |= {"StableVideoSample": [2, 1, 1, 3, "linear", 0, "fixed", 0]}
    for node in document["nodes"]:
        node["widgets_values"] = values.get(node["type"], node["widgets_values"])
    (tmp_path / "workflow.json").write_text(json.dumps(document))
    with Bars() as bars:
        (path,) = run(Job(tmp_path / "workflow.json", output=tmp_path / "output", device="cpu"), bars)
    with av.open(str(path)) as film:
        assert json.loads(film.metadata["workflow"]) == portable(document)
        assert str(tmp_path) not in "".join(film.metadata.values())
        assert json.loads(film.metadata["prompt"])["8"]["inputs"]["frames"] == 2
