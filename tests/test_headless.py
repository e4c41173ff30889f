"""Workflows without an editor: what is checked before a run, how a run goes, and what the host's stand-ins do."""

import contextlib
import copy
import json
import math
import weakref

import av
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_files import checkpoint, picture, tiny_workflow

from svd_nodes.headless import files, films
from svd_nodes.headless.catalogue import Catalogue
from svd_nodes.headless.check import find_problems, review
from svd_nodes.headless.core_nodes import Workspace, host_nodes
from svd_nodes.headless.editor import to_api
from svd_nodes.headless.execute import execute
from svd_nodes.headless.graph import order, parse, read_document
from svd_nodes.headless.run import Job, WorkflowError, run
from svd_nodes.nodes.host import standalone
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.image import read_picture, to_tensor


class Silent:
    """A watch that remembers what it was told."""

    def __init__(self):
        self.names, self.steps = [], []

    def started(self, name, position, count):
        self.names.append((name, position, count))

    def stepped(self, step, total, denoised=None):
        self.steps.append((step, total))

    def finished(self):
        pass


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A workflow that runs."""
    folder = tmp_path_factory.mktemp("sound")
    return tiny_workflow("quickstart", checkpoint(folder), picture(folder / "picture.png"))


@pytest.fixture(scope="module")
def with_sigmas(sound):
    prompt = copy.deepcopy(sound)
    widgets = {"schedule": "karras", "steps": 2, "sigma_max": 700.0, "sigma_min": 0.002, "rho": 7.0}
    prompt["7"] = {"class_type": "StableVideoSigmas", "inputs": widgets}
    prompt["8"]["inputs"]["sigmas"] = ["7", 0]
    return prompt


def run_prompt(prompt, folder, watch=None, **changes):
    (folder / "workflow.json").write_text(json.dumps(prompt))
    return run(Job(folder / "workflow.json", output=folder / "output", device="cpu", **changes), watch or Silent())


def problems_of(prompt, folder):
    catalogue = Catalogue.of(Workspace(folder))
    return find_problems(parse(prompt, catalogue.infos), catalogue)


# ---- what is wrong with a workflow


def change(prompt, id, **inputs):
    prompt = copy.deepcopy(prompt)
    prompt[id]["inputs"] |= inputs
    return prompt


def without(prompt, id, name):
    prompt = copy.deepcopy(prompt)
    del prompt[id]["inputs"][name]
    return prompt


def kind(prompt, id, class_type):
    prompt = copy.deepcopy(prompt)
    prompt[id]["class_type"] = class_type
    return prompt


FAULTS = {  # what is done to a sound workflow, and what the sentence must say
    "unknown node": (lambda p: kind(p, "9", "Xyz"), 'Node 9 "SVD VAE Decode" is of the kind "Xyz", which is not'),
    "core's node": (lambda p: kind(p, "9", "VAEDecodeTiled"), 'of the kind "VAEDecodeTiled", which is the editor'),
    "misspelt node": (lambda p: kind(p, "9", "StableVideoDecod"), "did you mean StableVideoDecode?"),
    "missing widget": (lambda p: without(p, "8", "frames"), 'Node 8 "SVD Sampler (Euler)": the input "frames" is'),
    "missing link": (lambda p: without(p, "8", "model"), "connect SVD_MODEL to it"),
    "too small": (lambda p: change(p, "8", frames=0), "frames is 0, but the least is 1"),
    "no steps": (lambda p: change(p, "8", steps=0), "steps is 0, but the least is 1"),
    "too large": (lambda p: change(p, "8", seed=2**64), f"seed is {2**64}, but the most is {2**64 - 1}"),
    "chunk of nothing": (lambda p: change(p, "9", frames_per_chunk=0), "frames_per_chunk is 0, but the least is 1"),
    "text for a number": (lambda p: change(p, "8", frames="many"), 'frames is "many", which is not a whole number'),
    "half a frame": (lambda p: change(p, "8", frames=2.5), "frames is 2.5, which is not a whole number"),
    "truth for a number": (lambda p: change(p, "8", frames=True), "frames is True, which is not a whole number"),
    "not a number": (lambda p: change(p, "8", max_guidance=math.nan), "max_guidance is nan, which is not a number"),
    "nothing": (lambda p: change(p, "8", frames=None), "frames is None, which is not a whole number"),
    "not a choice": (lambda p: change(p, "8", guidance="wavy"), "wavy"),
    "host's choice": (lambda p: change(p, "11", format="avi"), 'format is "avi", which is not one of: auto, mp4'),
    "width": (lambda p: change(p, "3", width=1001), "1001"),
    "value on a wire": (lambda p: change(p, "8", model="svd"), "model is a plain value, but it takes SVD_MODEL"),
    "wrong wire": (lambda p: change(p, "8", model=["1", 2]), 'but node 1 "Load SVD Checkpoint" gives SVD_VAE there'),
    "wrong wire to a widget": (lambda p: change(p, "8", frames=["3", 0]), "takes INT, but node 3"),
    "no such output": (lambda p: change(p, "8", model=["1", 3]), "takes output 3 of node 1"),
    "negative output": (lambda p: change(p, "8", model=["1", -1]), "which has outputs 0 to 2"),
    "output by name": (lambda p: change(p, "8", model=["1", "model"]), "takes output model of node 1"),
    "link to nowhere": (lambda p: change(p, "8", model=["77", 0]), "node 77, which is not in the workflow"),
    "half a link": (lambda p: change(p, "8", model=["1"]), "not [node id, output index]"),
    "picture missing": (lambda p: change(p, "2", image="nowhere.png"), 'There is no picture "nowhere.png"'),
    "checkpoint missing": (lambda p: change(p, "1", checkpoint="nowhere.safetensors"), "nowhere.safetensors"),
    "out of the output folder": (lambda p: change(p, "11", filename_prefix="../../clip"), "leads out of the"),
    "absolute name": (lambda p: change(p, "11", filename_prefix="/etc/clip"), "leads out of the output folder"),
    "no choice at all": (lambda p: change(p, "8", guidance=None), "guidance is None, which is not a text"),
    "no checkpoint at all": (lambda p: change(p, "1", checkpoint=None), "checkpoint is None, which is not a text"),
    "checkpoint by number": (lambda p: change(p, "1", checkpoint=5), "checkpoint is 5, which is not a text"),
    "checkpoint is true": (lambda p: change(p, "1", checkpoint=True), "checkpoint is True, which is not a text"),
    "checkpoint of nothing": (lambda p: change(p, "1", checkpoint={}), "checkpoint is {}, which is not a text"),
    "no precision at all": (lambda p: change(p, "1", precision=None), "precision is None, which is not a text"),
    "half a character": (lambda p: change(p, "11", filename_prefix="a\ud800"), "holds half a character"),
    "a very long name": (lambda p: change(p, "11", filename_prefix="é" * 101), "is longer than 200 bytes"),
    "no name": (lambda p: change(p, "11", filename_prefix="video/"), "names no file"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_gets_one_sentence_that_names_the_node(fault, sound, tmp_path):
    damage, expected = FAULTS[fault]
    (sentence,) = problems_of(damage(sound), tmp_path)
    assert sentence.startswith("Node ")
    assert expected in sentence
    assert sentence.rstrip().endswith((".", "?"))
    assert "\n" not in sentence


def test_inputs_that_a_node_does_not_have_are_left_out_with_a_note(sound, tmp_path):
    prompt = change(sound, "8", step=3, sampler=["1", []])
    prompt = change(prompt, "2", upload="image", **{"choose file to upload": "image"})
    catalogue = Catalogue.of(Workspace(tmp_path))
    found = review(parse(prompt, catalogue.infos), catalogue)
    assert found.problems == []
    assert found.notes == [
        'Node 8 "SVD Sampler (Euler)" has no input "step", so that is left out; did you mean steps?',
        'Node 8 "SVD Sampler (Euler)" has no input "sampler", so that is left out.',
    ]
    assert found.graph == parse(sound, catalogue.infos)


def test_sigmas_upside_down(with_sigmas, tmp_path):
    (sentence,) = problems_of(change(with_sigmas, "7", sigma_min=800.0), tmp_path)
    assert sentence.startswith('Node 7 "SVD Sigmas"')
    assert "sigma" in sentence


def test_sigmas_that_do_not_fall(with_sigmas, tmp_path):
    for changes in ({"rho": 0.1, "steps": 25}, {"sigma_min": 5.0, "sigma_max": 5.0}):
        (sentence,) = problems_of(change(with_sigmas, "7", **changes), tmp_path)
        assert sentence.startswith('Node 7 "SVD Sigmas"')
        assert "do not all differ" in sentence


def test_no_schedule_at_all(with_sigmas, tmp_path):
    (sentence,) = problems_of(change(with_sigmas, "7", schedule=None), tmp_path)
    assert "schedule is None, which is not a text" in sentence


def test_a_name_below_a_file(sound, tmp_path):
    (tmp_path / "afile").touch()
    (sentence,) = problems_of(change(sound, "11", filename_prefix="afile/clip"), tmp_path)
    assert "needs a folder where none can be written" in sentence
    (tmp_path / "door").symlink_to("/")
    (sentence,) = problems_of(change(sound, "11", filename_prefix="door/clip"), tmp_path)
    assert "through a link" in sentence


def test_a_circle_is_named(sound, tmp_path):
    prompt = kind(sound, "3", "StableVideoFitImage")
    prompt["13"] = {"class_type": "StableVideoFitImage", "inputs": {**prompt["3"]["inputs"], "image": ["3", 0]}}
    prompt["3"]["inputs"]["image"] = ["13", 0]
    (sentence,) = problems_of(prompt, tmp_path)
    assert "feeds itself" in sentence
    assert "3 -> 13" in sentence or "13 -> 3" in sentence


def test_a_workflow_without_an_output_is_refused(sound, tmp_path):
    prompt = {id: node for id, node in sound.items() if id != "11"}
    assert "Nothing in this workflow keeps a result" in problems_of(prompt, tmp_path)[0]


def test_all_problems_are_reported_together(sound, tmp_path):
    prompt = change(change(kind(sound, "9", "Nothing"), "8", frames=0, seed=-1), "3", width="wide")
    assert len(problems_of(prompt, tmp_path)) == 4
    with pytest.raises(WorkflowError) as caught:
        run_prompt(prompt, tmp_path)
    assert len(caught.value.problems) == 4
    assert not (tmp_path / "output").exists()


def test_values_in_another_but_equal_type_are_taken(sound, tmp_path):
    prompt = change(sound, "8", frames="3", steps=2.0, min_guidance=1, seed=2**64 - 1)
    prompt = change(prompt, "2", upload="image")  # older editors export their button
    assert problems_of(prompt, tmp_path) == []


def test_nodes_that_no_output_needs_are_left_alone(sound, tmp_path):
    prompt = {**sound, "50": {"class_type": "StableVideoDecode", "inputs": {}}}
    assert problems_of(prompt, tmp_path) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "holds no nodes"),
        ("{}", "holds no nodes"),
        ("[" * 100_000, "is not"),
        ('{"1": 5}', 'Node 1 has no "class_type"'),
        ('{"1": {"class_type": "LoadImage", "inputs": []}}', "are not a JSON object"),
        ('{"nodes": [{}]}', "is damaged"),
        ('{"nodes": [], "links": []}', "Nothing in this workflow"),
    ],
)
def test_files_that_are_no_workflow(text, expected, tmp_path):
    (tmp_path / "workflow.json").write_text(text)
    with pytest.raises(InputError, match=expected):
        run(Job(tmp_path / "workflow.json", output=tmp_path / "output"), Silent())
    assert not (tmp_path / "output").exists()


def test_a_workflow_with_a_byte_order_mark(sound, tmp_path):
    (tmp_path / "w.json").write_text(json.dumps(sound), encoding="utf-8-sig")
    assert read_document(tmp_path / "w.json") == sound


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "film.json").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "noise.json").write_bytes(bytes(range(128, 256)))
    for path, expected in (
        (tmp_path / "no.json", "There is no"),
        (tmp_path, "cannot be"),
        (tmp_path / "film.json", "brings no workflow along"),
        (tmp_path / "noise.json", "holds no text"),
        (tmp_path / "no.json" / "\0", "cannot be"),
    ):
        with pytest.raises(InputError, match=expected):
            read_document(path)


# ---- the editor's form


def test_reroutes_and_switched_off_nodes():
    infos = Catalogue.of(Workspace(files.Path())).infos

    def node(id, type, inputs=(), outputs=1, **more):
        sockets = [{"name": name, "link": link} for name, link in inputs]
        return {"id": id, "type": type, "inputs": sockets, "outputs": [{}] * outputs, "widgets_values": [], **more}

    document = {
        "nodes": [
            node(1, "LoadImage", widgets_values=["a.png", "image"]),
            node(2, "Reroute", [("", 1)]),
            node(3, "PreviewImage", [("images", 2)], title="Look"),
            node(4, "PreviewImage", [("images", 1)], mode=2),
            node(5, "Note"),
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
    }
    assert to_api(document, infos) == {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "Load Image"}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}, "_meta": {"title": "Look"}},
    }


def test_reroutes_in_a_circle():
    def reroute(id, link):
        return {"id": id, "type": "Reroute", "inputs": [{"name": "", "link": link}]}

    save = {"id": 3, "type": "PreviewImage", "inputs": [{"name": "images", "link": 1}]}
    links = [[1, 1, 0, 3, 0, "IMAGE"], [2, 2, 0, 1, 0, "IMAGE"], [3, 1, 0, 2, 0, "IMAGE"]]
    document = {"nodes": [reroute(1, 2), reroute(2, 3), save], "links": links}
    with pytest.raises(InputError, match='Node 1 "Reroute" feeds itself'):
        to_api(document, Catalogue.of(Workspace(files.Path())).infos)


# ---- a run


def test_each_node_runs_once_and_steps_are_told(sound, tmp_path):
    watch = Silent()
    (path,) = run_prompt(sound, tmp_path, watch)
    assert len(watch.names) == len(sound)
    assert watch.names[0][1:] == (1, len(sound))
    assert watch.steps[:2] == [(1, 2), (2, 2)]
    assert path.name == "svd_quickstart_00001_.mp4"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_results_go_when_nothing_needs_them(tmp_path):
    """A node that runs last finds the first node's result gone, though it was used twice before."""
    io, alive = standalone.io, []

    class Thing:
        pass

    class Make(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Make", "Make", outputs=[io.Custom("THING").Output(), io.Custom("THING").Output()])

        @classmethod
        def execute(cls):
            things = Thing(), Thing()
            alive.extend(weakref.ref(thing) for thing in things)
            return io.NodeOutput(*things)

    class Use(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            inputs = [io.Custom("THING").Input("one"), io.Custom("THING").Input("two", optional=True)]
            return io.Schema("Use", "Use", inputs=inputs, outputs=[io.Custom("WORD").Output()])

        @classmethod
        def execute(cls, one, two=None):
            assert alive[0]() is one
            assert alive[1]() is None, "an output that nothing takes is dropped at once"
            return io.NodeOutput("word")

    class Last(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Last", "Last", inputs=[io.Custom("WORD").Input("word")], is_output_node=True)

        @classmethod
        def execute(cls, word):
            assert word == "word"
            assert alive[0]() is None
            return io.NodeOutput(ui={"files": []})

    classes = {"Make": Make, "Use": Use, "Last": Last}
    catalogue = Catalogue(classes, {name: node.GET_NODE_INFO_V1() for name, node in classes.items()})
    prompt = {
        "1": {"class_type": "Make"},
        "2": {"class_type": "Use", "inputs": {"one": ["1", 0], "two": ["1", 0]}},
        "3": {"class_type": "Last", "inputs": {"word": ["2", 0]}},
    }
    graph = parse(prompt, catalogue.infos)
    assert find_problems(graph, catalogue) == []
    assert execute(graph, catalogue, Silent()) == []


def test_long_chains_do_not_run_out_of_stack():
    prompt = {str(i): {"class_type": "X", "inputs": {"a": [str(i - 1), 0]} if i else {}} for i in range(5000)}
    assert [node.id for node in order(parse(prompt, {}))] == [str(i) for i in range(5000)]


def test_the_same_run_twice_gives_the_same_frames_under_a_new_name(sound, tmp_path):
    first, second = (run_prompt(sound, tmp_path)[0] for _ in range(2))
    assert (first.name, second.name) == ("svd_quickstart_00001_.mp4", "svd_quickstart_00002_.mp4")
    assert first.read_bytes() == second.read_bytes()


def test_faults_found_while_running_name_the_node(sound, tmp_path):
    path = tmp_path / "half.png"
    path.write_bytes(picture(tmp_path / "whole.png").read_bytes()[:700])
    with pytest.raises(InputError, match=r'^Node 2 "Load Image": half\.png cannot be read as a picture'):
        run_prompt(change(sound, "2", image="half.png"), tmp_path)
    assert list((tmp_path / "output").rglob("*.*")) == []


def test_interrupted_runs_leave_nothing(sound, tmp_path):
    class Impatient(Silent):
        def stepped(self, step, total, denoised=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_prompt(sound, tmp_path, Impatient())
    assert list((tmp_path / "output").rglob("*.*")) == []


# ---- the settings of a run


def test_settings_by_id_title_and_kind(sound, tmp_path):
    settings = ["8.steps=1", "svd vae decode.frames_per_chunk=2", "SaveVideo.filename_prefix=a=b", "CreateVideo.fps=12"]
    (path,) = run_prompt(sound, tmp_path, settings=settings)
    assert path.name == "a=b_00001_.mp4"
    with av.open(str(path)) as film:
        prompt = json.loads(film.metadata["prompt"])
        assert film.streams.video[0].average_rate == 12
    assert prompt["8"]["inputs"]["steps"] == 1
    assert prompt["9"]["inputs"]["frames_per_chunk"] == 2


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("steps=3", "not of the form NODE.input=value"),
        ("8.steps", "not of the form NODE.input=value"),
        ("99.steps=3", 'no node is called "99"; use one of these ids: 1 "Load SVD Checkpoint" (StableVideoLoadC'),
        ("StableVideoSampel.steps=3", 'no node is called "StableVideoSampel"; did you mean StableVideoSample?'),
        ("load imag.image=a", "did you mean Load Image?"),
        ("8.stepps=3", 'has no value "stepps"; it has frames, steps'),
        ("8.model=3", 'has no value "model"'),
        ("8.steps=three", 'steps is "three", which is not a whole number'),
        ("StableVideoFitImage.width=9", "9"),
    ],
)
def test_settings_that_cannot_be(setting, expected, sound, tmp_path):
    with pytest.raises(InputError) as caught:
        run_prompt(sound, tmp_path, settings=[setting])
    assert expected in str(caught.value)


def test_steps_that_the_sampler_would_not_use_are_refused(with_sigmas, tmp_path):
    with pytest.raises(InputError, match=r'would have no effect, as the sigmas of node 7 .*use "--set 7.steps=3"'):
        run_prompt(with_sigmas, tmp_path, settings=["StableVideoSample.steps=3"])
    assert run_prompt(with_sigmas, tmp_path, settings=["7.steps=1", "8.seed=3"])


def test_a_folder_is_named_once_where_pictures_are_looked_for(tmp_path):
    with pytest.raises(InputError) as caught:
        Workspace(tmp_path, (tmp_path, tmp_path / "input" / "..", tmp_path / "input")).find("no.png")
    assert str(caught.value).endswith(f"one of: {tmp_path}, {tmp_path / 'input'}.")


def test_the_body_of_a_post_to_the_queue_runs_too(sound, tmp_path):
    (path,) = run_prompt({"prompt": sound, "client_id": "a"}, tmp_path, settings=["8.steps=1"])
    with av.open(str(path)) as film:
        assert json.loads(film.metadata["prompt"]).keys() == sound.keys()


def test_a_kind_that_two_nodes_have_is_no_name(sound, tmp_path):
    prompt = {**sound, "12": copy.deepcopy(sound["11"])}
    with pytest.raises(InputError, match="2 nodes are called"):
        run_prompt(prompt, tmp_path, settings=["SaveVideo.filename_prefix=a"])


def test_an_unknown_device(sound, tmp_path):
    for device in ("gpu", "cuda:99", "meta", "cpu:x"):
        (tmp_path / "workflow.json").write_text(json.dumps(sound))
        with pytest.raises(InputError, match="There is no device"):
            run(Job(tmp_path / "workflow.json", device=device), Silent())


def test_out_of_main_memory_outside_of_a_network(sound, tmp_path, monkeypatch):
    def full(*_):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("svd_nodes.nodes.image.fit_image", full)
    with pytest.raises(MemoryError, match=r'^Node 3 "Fit Image for SVD": There is not enough memory'):
        run_prompt(sound, tmp_path)


# ---- the host's stand-ins


def host(folder, name, **changes):
    nodes = {node.__name__: node for node in host_nodes(Workspace(folder, **changes))}
    return nodes[name]


def load(folder, name):
    """The picture and the mask, after the check that comes before a run."""
    node = host(folder, "LoadImage", inputs=(folder,))
    assert node.validate_inputs(name) is True
    return node.execute(name).args


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "CMYK", "P", "LA", "RGBA"])
def test_pictures_of_every_kind(mode, tmp_path):
    path = picture(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"), mode=mode)
    image, mask = load(tmp_path, path.name)
    assert image.shape == (1, 30, 40, 3)
    assert image.dtype == torch.float32
    assert 0 <= image.min() <= image.max() <= 1
    assert mask.shape == ((1, 30, 40) if mode in ("P", "LA", "RGBA") else (1, 64, 64))


def test_rgb_and_mask_are_exact(tmp_path):
    picture(tmp_path / "a.png", mode="RGBA")
    image, mask = load(tmp_path, "a.png")
    pixels = torch.from_numpy(np.asarray(Image.open(tmp_path / "a.png")) / np.float32(255))
    assert torch.equal(image[0], pixels[..., :3])
    assert torch.equal(mask[0], 1 - pixels[..., 3])


def test_pictures_turned_by_the_camera(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    picture(tmp_path / "a.jpg", exif=exif)
    image, _ = load(tmp_path, "a.jpg")
    assert image.shape == (1, 40, 30, 3)


def test_sixteen_bits(tmp_path):
    Image.fromarray(np.array([[0, 65535], [32768, 256]], dtype=np.uint16)).save(tmp_path / "a.png")
    image, _ = load(tmp_path, "a.png")
    assert torch.allclose(image[0, ..., 0], torch.tensor([[0, 1], [128 / 255, 1 / 255]]))


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_deep_grey_is_as_bright_as_the_pipeline_sees_it(white, tmp_path):
    Image.fromarray(np.array([[0, 0.25], [0.5, 1]], dtype=np.float32) * white).save(tmp_path / "a.tif")
    image, _ = load(tmp_path, "a.tif")
    assert torch.equal(image.movedim(-1, 1), to_tensor(read_picture(tmp_path / "a.tif")))
    assert torch.allclose(image[0, ..., 2], torch.tensor([[0, 0.25], [0.5, 1]]), atol=1 / 255)


def test_one_pixel_and_animations(tmp_path):
    picture(tmp_path / "a.png", 1, 1)
    assert load(tmp_path, "a.png")[0].shape == (1, 1, 1, 3)
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert load(tmp_path, "a.gif")[0].shape == (3, 6, 8, 3)


@pytest.mark.parametrize("suffix", ["gif", "jpg", "png", "webp"])
def test_damaged_pictures_get_a_sentence_whatever_pillow_raises(suffix, tmp_path):
    """Each byte of the header in turn is wrong, and every length is tried that a broken download may have."""
    path = picture(tmp_path / f"a.{suffix}", 8, 6, mode="RGB")
    whole = path.read_bytes()
    cuts = [whole[:end] for end in range(0, len(whole), 7)]
    flips = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(min(len(whole), 200))]
    node = host(tmp_path, "LoadImage", inputs=(tmp_path,))
    for content in cuts + flips:
        path.write_bytes(content)
        if node.validate_inputs(path.name) is True:
            with contextlib.suppress(InputError):
                node.execute(path.name)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"not a picture at all", b"GIF89a\0\0\0\0\0\0\0"])
def test_files_that_are_no_picture(content, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    verdict = host(tmp_path, "LoadImage", inputs=(tmp_path,)).validate_inputs("a.png")
    assert "a.png cannot be read as a picture" in verdict


def test_pictures_are_found_beside_the_workflow_and_by_the_editors_names(sound, tmp_path):
    picture(tmp_path / "beside.png")
    (tmp_path / "input").mkdir()
    picture(tmp_path / "input" / "inside.png")
    for name in ("beside.png", "inside.png", "inside.png [input]", str(tmp_path / "beside.png")):
        assert run_prompt(change(sound, "2", image=name), tmp_path, settings=["8.steps=1", "8.frames=1"])


def test_animated_webp(tmp_path):
    node = host(tmp_path, "SaveAnimatedWEBP", metadata={"prompt": {"1": "a"}, "workflow": {"nodes": []}})
    images = torch.rand(3, 15, 17, 4)
    output = node.execute(images, "clip", fps=8.0, lossless=True, quality=80, method="fastest")
    (path,) = output.ui["files"]
    assert path.name == "clip_00001_.webp"
    with Image.open(path) as film:
        exif = film.getexif()
        film.seek(2)
        film.load()
        assert (film.n_frames, film.size, film.info["duration"]) == (3, (17, 15), 125)
        frame = np.asarray(film.convert("RGBA"))
    assert exif[0x0110] == 'prompt:{"1": "a"}'
    assert exif[0x010F] == 'workflow:{"nodes": []}'
    visible = frame[..., 3] > 0
    assert np.array_equal(frame[visible], films.to_bytes(images)[2][visible])


def test_pngs_are_numbered_and_carry_the_workflow(tmp_path):
    node = host(tmp_path, "SaveImage", metadata={"prompt": {"1": "a"}})
    images = torch.rand(3, 4, 6, 3)
    paths = [*node.execute(images, "a/b").ui["files"], *node.execute(images[:1], "a/b").ui["files"]]
    assert [path.name for path in paths] == [f"b_0000{i}_.png" for i in (1, 2, 3, 4)]
    with Image.open(paths[1]) as saved:
        assert saved.text == {"prompt": '{"1": "a"}'}
        assert np.array_equal(np.asarray(saved), films.to_bytes(images)[1])
    (preview,) = host(tmp_path, "PreviewImage").execute(images[:1]).ui["files"]
    assert preview.relative_to(tmp_path).as_posix() == "preview/preview_00001_.png"


# ---- files


def test_names_count_on_from_what_is_there(tmp_path):
    for name in ("clip_00007_.mp4", "clip_00009_.png", "clip_x_.mp4", "clips_00050_.mp4"):
        (tmp_path / name).touch()
    (name,) = files.free_names(tmp_path, "clip", ".mp4", 1, 8, 8)
    assert name.name == "clip_00010_.mp4"
    (name,) = files.free_names(tmp_path, "%width%x%height%/%year%", ".mp4", 1, 32, 24)
    assert name.parent.name == "32x24"
    assert name.name.startswith("20")


@pytest.mark.parametrize("prefix", ["../a", "a/../../b", "/a", "..", "a\\..\\..\\b", "", "a/", "x\0y"])
def test_names_stay_in_the_output_folder(prefix, tmp_path):
    with pytest.raises(InputError):
        files.free_names(tmp_path, prefix, ".mp4", 1, 8, 8)


def test_names_do_not_leave_through_a_link(tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "door").symlink_to(tmp_path)
    with pytest.raises(InputError, match="through a link"):
        files.free_names(tmp_path / "output", "door/clip", ".mp4", 1, 8, 8)


def test_output_folders_that_cannot_be(sound, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "inside", files.Path("/proc/nowhere")):
        with pytest.raises(InputError, match="Nothing can be written to"):
            files.prepare_folder(folder)


def test_two_runs_at_once_keep_both_films(tmp_path):
    """The second run chose its name before the first had written under it."""
    node = host(tmp_path, "SaveVideo")
    film = host(tmp_path, "CreateVideo").execute(torch.rand(2, 16, 16, 3), 7.0).args[0]
    (name,) = node.names("clip", ".mp4", film.frames)
    other = films.write_film(name, film.frames, film.fps, {})
    mine = films.write_film(name, film.frames, film.fps, {})
    assert (other.name, mine.name) == ("clip_00001_.mp4", "clip_00002_.mp4")
    assert mine.stat().st_size == other.stat().st_size > 500
