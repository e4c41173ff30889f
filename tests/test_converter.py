"""Saved workflows, as the editor's own page exports them; and every other way in which a workflow comes."""

import json
import math
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch
from drawn import BYPASSED, CASES, MUTED, Sheet, chain, sheet
from fuzz.workflows import faults
from stand_in import stand_in
from tiny_files import ROOT, WORKFLOWS, checkpoint, picture, tiny_workflow
from typer.testing import CliRunner

from svd_nodes.headless import films
from svd_nodes.headless.catalogue import Catalogue
from svd_nodes.headless.check import review
from svd_nodes.headless.cli import app
from svd_nodes.headless.core_kinds import CORE
from svd_nodes.headless.core_nodes import Workspace
from svd_nodes.headless.document import portable, strict
from svd_nodes.headless.editor import export
from svd_nodes.headless.graph import parse, read_document
from svd_nodes.headless.placeholders import filled
from svd_nodes.headless.queue.plan import Asked, plan
from svd_nodes.headless.run import Job, WorkflowError, run
from svd_nodes.headless.settings import read_setting, read_workflow
from svd_nodes.headless.text import printable
from svd_nodes.headless.values import specs
from svd_nodes.headless.widgets import read_widgets
from svd_nodes.nodes.host import standalone
from svd_nodes.svd.errors import InputError

CASES_FOLDER = ROOT / "tests" / "data" / "cases"
INFOS = json.loads((CASES_FOLDER / "infos.json").read_text())
DRAWN = json.loads((CASES_FOLDER / "drawn.json").read_text())
OLD, NEW = INFOS
MOMENT = time.strptime("2026-03-04 05:06:07", "%Y-%m-%d %H:%M:%S")

# Where we do not what a page does, and what it does there.
OURS = {
    ("primitive_into_a_subgraph", NEW): "loses the primitive's value",
    ("primitive_through_a_reroute", NEW): "loses the primitive's value",
    ("primitive_through_a_reroute", OLD): "loses the primitive's value",
    ("primitive_inside", OLD): "loses the primitive's value",
    ("muted_value", OLD): "loses the value that stands in the box",
    ("subgraph_with_a_muted_value", OLD): "loses the value that stands in the box",
    ("name_with_values", OLD): "fills in no names of films",
    ("subgraph_bypassed", OLD): "runs what is inside",
    ("subgraph_muted", OLD): "runs what is inside",
    ("subgraph_without_values", OLD): "gives the inputs inside other inputs' values",
    ("subgraph_in_a_subgraph", OLD): "loses values promoted twice",
    ("subgraph_in_a_subgraph_without_values", OLD): "loses values promoted twice",
    ("widgets_shown_outside", OLD): "knows no list of promoted widgets",
    ("widgets_shown_outside_without_values", OLD): "knows no list of promoted widgets",
}


class Silent:
    def started(self, name, position, count): ...
    def stepped(self, step, total, denoised=None): ...
    def finished(self): ...


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    return tiny_workflow("quickstart", checkpoint(folder), picture(folder / "picture.png"))


def run_document(document, folder, settings=()):
    path = folder / "workflow.json"
    path.write_text(json.dumps(document))
    return run(Job(path, settings, folder / "output", device="cpu"), Silent())


def change(prompt, id, **inputs):
    return {**prompt, id: {**prompt[id], "inputs": {**prompt[id]["inputs"], **inputs}}}


# ---- the editor's form


def test_the_drawings_are_those_that_were_recorded():
    """After a change of `drawn`: tests/record_converter.py."""
    assert {name: make() for name, make in CASES.items()} == {name: case["document"] for name, case in DRAWN.items()}


@pytest.mark.parametrize("version", INFOS)
@pytest.mark.parametrize("name", DRAWN)
def test_a_drawing_is_exported_as_the_editors_page_does_it(name, version):
    theirs = DRAWN[name]["exports"][version]
    ours = filled(export(DRAWN[name]["document"], INFOS[version]).prompt, MOMENT)
    assert (ours == theirs) != ((name, version) in OURS)
    json.dumps(ours, allow_nan=False)


@pytest.mark.parametrize("name", DRAWN)
def test_what_the_page_exports_is_taken_as_it_is(name):
    """The API form comes out as it went in."""
    theirs = DRAWN[name]["exports"][NEW]
    assert read_workflow(theirs, INFOS[NEW]).prompt == theirs


def test_where_we_differ_from_a_page_its_loss_is_made_good():
    def value(name, id, input):
        return export(DRAWN[name]["document"], INFOS[NEW]).prompt[id]["inputs"][input]

    assert value("primitive_into_a_subgraph", "40:32", "seed") == 77
    assert value("primitive_through_a_reroute", "5", "seed") == 77


@pytest.mark.parametrize("version", INFOS)
@pytest.mark.parametrize(
    "name", [path.stem for path in WORKFLOWS.glob("*.json") if path.stem not in ("from_core", "text_to_video")]
)
def test_templates_are_complete_for_every_version_of_core(name, version):
    """Every input that a version of core's nodes requires is there: what the template does not know has its default."""
    for document in (WORKFLOWS / f"{name}.json", WORKFLOWS / "api" / f"{name}.json"):
        infos = infos_with_weights(version)
        (job,) = plan(json.loads(document.read_text()), infos, Asked())
        for id, node in job.prompt.items():
            info = infos[node["class_type"]]
            lacking = [
                s.name for s in specs(info, node["inputs"]).values() if s.required and s.name not in node["inputs"]
            ]
            assert lacking == [], (id, node)


def infos_with_weights(version):
    """As on a server that has the large checkpoint."""
    infos = json.loads(json.dumps(INFOS[version]))
    infos["StableVideoLoadCheckpoint"]["input"]["required"]["checkpoint"][1]["options"].append("svd_xt.safetensors")
    return infos


@pytest.mark.parametrize("version", INFOS)
def test_the_queue_takes_drawings_to_servers_of_every_version(version, tmp_path, monkeypatch):
    """Notes of a server that ran it before, NaN among them, stay behind."""
    infos = infos_with_weights(version)
    monkeypatch.setattr("stand_in.INFOS", infos)
    drawing = chain(sheet(), condition={"title": "Motion"}).saved()
    (tmp_path / "drawing.json").write_text(json.dumps(drawing))
    told = {id: {**node, "is_changed": [math.nan]} for id, node in DRAWN["subgraph"]["exports"][version].items()}
    (tmp_path / "told.json").write_text(json.dumps(told))
    with stand_in() as server:
        for name in ("drawing.json", "told.json"):
            words = ["queue", str(tmp_path / name), "--server", server.url, "--output", str(tmp_path / name[:-5])]
            result = CliRunner().invoke(app, [*words, "--patience", "20"], env={"COLUMNS": "200", "TERM": "dumb"})
            assert result.exit_code == 0, result.output
        sent = list(server.prompts.values())
    for node in sent[0].values():
        known = specs(infos[node["class_type"]], node["inputs"])
        assert [spec.name for spec in known.values() if spec.required and spec.name not in node["inputs"]] == []
    assert sent[1]["40:32"] == DRAWN["subgraph"]["exports"][version]["40:32"]


SAMPLER = INFOS[NEW]["StableVideoSample"]
KSAMPLER = {  # as core's: a seed that has its control by its name
    "input": {"required": {"seed": ["INT", {"default": 0}], "steps": ["INT", {}], "sampler": [["euler", "fixed"], {}]}}
}
FORCED = {"input": {"required": {"n": ["INT", {"forceInput": True}], "a": ["INT", {}], "b": ["STRING", {}]}}}


@pytest.mark.parametrize(
    ("info", "values", "expected", "left"),
    [
        (SAMPLER, [3, 2, 1, 2, "linear", 12, "fixed", 40], {"seed": 12, "churn": 40}, []),
        (SAMPLER, [3, 2, 1, 2, "linear", 12, 40], {"seed": 12, "churn": 40}, []),
        (SAMPLER, [3, 2, 1, 2, "linear", 12, "increment-wrap", 40], {"churn": 40}, []),
        (SAMPLER, [3, 2, 1, 2, "linear", 12, True, 40], {"churn": 40}, []),
        (SAMPLER, [3, 2], {"frames": 3, "steps": 2, "seed": 0, "guidance": "linear"}, []),
        (SAMPLER, [3, None, None], {"frames": 3, "steps": 25}, []),
        (SAMPLER, [3, 2, 1, 2, "linear", 12, "fixed", 40, 7.5, "x"], {"churn": 40}, ["7.5", "x"]),
        (SAMPLER, {"frames": 3, "seed": 5, "speed": 9}, {"frames": 3, "seed": 5, "steps": 25}, ["speed 9"]),
        (SAMPLER, None, {"frames": 25}, []),
        (SAMPLER, "nonsense", {"frames": 25}, []),
        (KSAMPLER, [1, "randomize", 20, "euler"], {"seed": 1, "steps": 20, "sampler": "euler"}, []),
        (KSAMPLER, [1, 20, "fixed"], {"seed": 1, "steps": 20, "sampler": "fixed"}, []),
        (FORCED, [9, 4, "x"], {"a": 4, "b": "x"}, []),
        (FORCED, [4, "x"], {"a": 4, "b": "x"}, []),
        (INFOS[NEW]["LoadImage"], ["a.png", "image"], {"image": "a.png"}, []),
        (INFOS[NEW]["SaveVideo"], ["a", "mp4", "h264", "re-encode", 20, "sRGB", "auto"],
         {"format.codec.encoding.crf": 20, "format.codec.encoding.color_space": "sRGB", "codec": "auto"}, []),
        (INFOS[NEW]["SaveVideo"], ["a", "auto", "auto"], {"format.codec": "auto", "codec": "auto"}, []),
        (INFOS[NEW]["SaveVideo"], ["a"], {"format": "auto", "format.codec": "auto"}, []),
    ],
)  # fmt: skip
def test_every_value_of_a_widget_is_accounted_for(info, values, expected, left):
    read = read_widgets(info, values)
    assert {name: read.values.get(name) for name in expected} == expected
    assert read.left == left


def test_values_by_name_win_where_they_are_those_of_the_list():
    """A newer version may have put an input in between; the names tell it."""
    named = {"churn": 40, "frames": 3}
    assert read_widgets(SAMPLER, [40, 3], named).values["churn"] == 40
    assert (
        read_widgets(SAMPLER, [5, 3], named).values == read_widgets(SAMPLER, [5, 3]).values
    )  # somebody changed the list


def test_decoration_of_other_packs_is_passed_over():
    s = chain(sheet())
    s.raw(20, "Label (rgthree)", [], [])
    assert export(s.saved(), INFOS[NEW]).prompt.keys() == {str(id) for id in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11)}
    s.raw(21, "Fast Muter", [{"name": "any", "type": "*", "link": None}], [])
    assert export(s.saved(), INFOS[NEW]).prompt["21"]["class_type"] == "Fast Muter"


def test_the_blueprint_runs_between_a_picture_and_a_film():
    document = json.loads(next((ROOT / "subgraphs").glob("*.json")).read_text())
    (subgraph,), (node,) = document["definitions"]["subgraphs"], document["nodes"]
    s = Sheet(INFOS[NEW])
    s.node(20, "LoadImage", ["lighthouse.png", "image"])
    s.nodes[node["id"]] = node
    s.link(20, 0, node["id"], 0)
    s.node(21, "CreateVideo", [7], images=(node["id"], 0))
    s.node(22, "SaveVideo", ["clip", "auto", "auto"], video=(21, 0))
    node["widgets_values"][1] = 512
    prompt = export(s.saved(subgraph), INFOS[NEW]).prompt
    assert prompt["21"]["inputs"]["images"] == ["10:9", 0]
    assert prompt["10:3"]["inputs"] == {"width": 512, "height": 576, "fit": "crop", "image": ["20", 0]}
    assert review(parse(prompt, INFOS[NEW]), Catalogue.of(Workspace(Path()))).problems[1:] == []


# ---- what cannot be converted


def faulty(change):
    s = chain(sheet())
    change(s)
    return s.saved()


def _loop(s):
    s.raw(20, "Reroute", [{"name": "", "type": "*", "link": None}], [{"name": "", "type": "*", "links": []}])
    s.link(20, 0, 20, 0)
    s.link(20, 0, 3, 0)


def _inside_itself():
    s, inside = chain(sheet()), Sheet(INFOS[NEW])
    kind = "3f1c2a52-6a0e-4d8e-8f53-0d1f7f2f9a01"
    inside.raw(30, kind, [], [])
    s.raw(40, kind, [], [])
    return s.saved(inside.inside(kind, {}, {}, []))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (faulty(_loop), 'Node 20 "Reroute" feeds itself'),
        (_inside_itself(), "is a subgraph that is inside of itself"),
        (faulty(lambda s: s.raw(20, "workflow>Old", [], [{}])), "is a group node of older editors"),
        (faulty(lambda s: s.raw(20, "3f1c2a52-6a0e-4d8e-8f53-0d1f7f2f9a01", [], [{}])), "inside is not in this file"),
        ({"nodes": [{"id": 1, "type": "Note"}, {"id": 1.0, "type": "Note"}]}, "two nodes have the id 1"),
        ({"nodes": [{"id": 1, "type": "A", "inputs": [{"name": 5}]}]}, "5 stands for the name of an input of node 1"),
        ({"nodes": [{"id": True, "type": "A"}]}, "True stands for the id of a node"),
        ({"nodes": [{"id": 1, "type": 7}]}, "7 stands for the type of node 1"),
        ({"nodes": [[]]}, "[] stands in nodes"),
        ({"nodes": [], "links": [[1, 2]]}, "a link lacks an end"),
        ({"nodes": [], "links": [[1, 2, "x", 3, 0]]}, "x stands for the number of an input or output"),
        ({"nodes": [], "definitions": {"subgraphs": [5]}}, "5 stands in subgraphs"),
    ],
)
def test_what_cannot_be_converted_gets_a_sentence(document, expected):
    with pytest.raises(InputError) as caught:
        export(document, INFOS[NEW])
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_links_that_lead_nowhere_are_told():
    document = chain(sheet()).saved()
    document["links"] = [link for link in document["links"] if link[1] != 8]
    (note,) = export(document, INFOS[NEW]).notes
    assert note.startswith('Node 9 "SVD VAE Decode": latent is linked by link ')
    assert note.endswith("which is not in the file.")


def test_subgraphs_that_multiply_are_bounded():
    """Ten levels of ten make more nodes than there is memory."""
    ids = [f"3f1c2a52-6a0e-4d8e-8f53-0d1f7f2f9b{level:02}" for level in range(10)]
    pages = []
    for level, id in enumerate(ids):
        s = Sheet(INFOS[NEW])
        for number in range(10):
            s.raw(100 * level + number, ids[level + 1] if level < 9 else "Note", [], [])
        pages.append(s.inside(id, {}, {}, []))
    s = chain(sheet())
    s.raw(40, ids[0], [], [])
    with pytest.raises(InputError, match="more than 20,000 nodes"):
        export(s.saved(*pages), INFOS[NEW])


# ---- switched-off nodes, in a run


def looked_at(document, folder):
    catalogue = Catalogue.of(Workspace(folder, inputs=(folder,)))
    picture(folder / "lighthouse.png")
    read = export(document, catalogue.infos)
    return review(parse(read.prompt, catalogue.infos), catalogue, read.cuts)


def test_an_output_that_lost_its_input_is_left_out_while_another_is_whole(tmp_path):
    s = chain(sheet(), film={"mode": MUTED})
    s.node(20, "PreviewImage", images=(9, 0))
    found = looked_at(s.saved(), tmp_path)
    assert found.problems == []
    assert found.notes == [
        'Node 11 "Save Video" is left out: its input "video" comes from node 10 "Create Video", which is muted.'
    ]
    assert "20" in found.graph
    assert "11" not in found.graph


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"film": {"mode": MUTED}}, 'its input "video" comes from node 10 "Create Video", which is muted; switch'),
        (
            {"film": {"mode": BYPASSED}},
            'its input "video" comes from node 10 "Create Video", which is bypassed; switch',
        ),
        ({"latent": {"mode": MUTED}}, 'needs node 6 "SVD Conditioning", whose input "image_latent" comes from node 5 '),
    ],
)
def test_a_workflow_that_keeps_nothing_is_refused_with_the_node_to_blame(changes, expected, tmp_path):
    (problem,) = looked_at(chain(sheet(), **changes).saved(), tmp_path).problems
    assert problem.startswith('Node 11 "Save Video": i')
    assert expected in problem


# ---- core's nodes


def test_core_s_kinds_are_called_so(tmp_path, sound):
    for kind in ("KSampler", "VAEDecode", "EmptyAceStep1.5LatentAudio", "Video Slice"):
        assert kind in CORE
        catalogue = Catalogue.of(Workspace(tmp_path))
        prompt = {**sound, "9": {**sound["9"], "class_type": kind}}
        (problem,) = review(parse(prompt, catalogue.infos), catalogue).problems
        assert "which is the editor's own and runs there alone" in problem
        assert '"svd-nodes queue"' in problem
    assert "StableVideoSample" not in CORE


def test_every_stand_in_is_one_of_core_s(tmp_path):
    """And takes what core's takes: an input that it lacks would be dropped."""
    catalogue = Catalogue.of(Workspace(tmp_path))
    assert catalogue.core <= CORE
    for kind in catalogue.core:
        for version in INFOS:
            theirs, ours = specs(INFOS[version][kind], {}), specs(catalogue.infos[kind], {})
            ours |= dict.fromkeys(catalogue.neutral(kind))
            assert [name for name, spec in theirs.items() if spec.is_widget and name not in ours] == []
            assert len(catalogue.infos[kind]["output"]) >= len(INFOS[version][kind]["output"])


@pytest.mark.parametrize(
    ("id", "inputs", "expected"),
    [
        ("10", {"bit_depth": "auto", "color_space": "sRGB", "codec": "none"}, None),
        ("10", {"bit_depth": 8, "later": 5}, None),
        ("10", {"bit_depth": 10}, "bit_depth is 10, which the editor alone can make; choose 8"),
        ("10", {"bit_depth": True}, "bit_depth is True"),
        ("10", {"color_space": "HDR"}, "color_space is HDR, which the editor alone can make; choose auto"),
        ("11", {"format.codec": "auto"}, None),
        ("11", {"format": "mp4", "format.codec": "h264", "format.codec.encoding": "auto"}, None),
        ("11", {"format.codec": "av1"}, 'format.codec is "av1", which is not one of: auto, h264'),
        ("11", {"format.codec": "h264", "format.codec.encoding": "re-encode"}, 'is "re-encode", which is not one of'),
        ("11", {"format": "webm"}, 'format is "webm", which is not one of: auto, mp4'),
    ],
)
def test_inputs_of_newer_editors(id, inputs, expected, sound, tmp_path):
    catalogue = Catalogue.of(Workspace(tmp_path))
    problems = review(parse(change(sound, id, **inputs), catalogue.infos), catalogue).problems
    assert problems == [] if expected is None else expected in problems[0]


@pytest.mark.parametrize(
    ("kind", "value", "input"),
    [
        ("PrimitiveInt", 2, "8.frames"),
        ("PrimitiveFloat", 9.0, "10.fps"),
        ("PrimitiveString", "named", "11.filename_prefix"),
    ],
)
def test_core_s_primitives_run(kind, value, input, sound, tmp_path):
    id, name = input.split(".")
    prompt = change(sound, id, **{name: ["60", 0]}) | {"60": {"class_type": kind, "inputs": {"value": value}}}
    prompt = change(change(prompt, "8", steps=1), "10", later="x")
    (path,) = run_document(prompt, tmp_path)
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert (
            stream.frames if kind == "PrimitiveInt" else stream.average_rate if kind == "PrimitiveFloat" else path.name
        ) == ("named_00001_.mp4" if kind == "PrimitiveString" else value)


def test_what_a_version_of_core_does_not_save_has_its_default(sound, tmp_path):
    prompt = change(sound, "8", steps=1, frames=1)
    prompt["11"] = {"class_type": "SaveVideo", "inputs": {"video": ["10", 0], "filename_prefix": "a"}}
    assert [path.name for path in run_document(prompt, tmp_path)] == ["a_00001_.mp4"]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("SaveVideo.format.codec=h264", ("11", "format.codec", "h264")),
        ("Save Video.format.codec=h264", ("11", "format.codec", "h264")),
        ("11.format=mp4", ("11", "format", "mp4")),
        ("SVD 1.1.steps=3", ("8", "steps", 3)),
    ],
)
def test_settings_of_inputs_inside_choices(setting, expected, sound):
    infos = Catalogue.of(Workspace(Path())).infos
    graph = parse({**sound, "8": {**sound["8"], "_meta": {"title": "SVD 1.1"}}}, infos)
    assert read_setting(setting, graph, infos) == expected
    with pytest.raises(InputError, match="no node is called"):
        read_setting("Nobody.format.codec=h264", graph, infos)


# ---- names of files


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("video/%date:yyyy-MM-dd%/clip", "video/2026-03-04/clip"),
        ("%date:d.M.yy%", "%date:d.M.yy%"),  # the page takes a dot for a node's
        ("%date:dMyy_hhmmss%", "4326_050607"),
        ("%date:yyy%", "yyy"),
        ("%StableVideoSample.seed%", "12"),
        ("%SVD Sampler (Euler).guidance%", "linear"),
        ("%StableVideoSample.model%", "%StableVideoSample.model%"),  # linked
        ("%Nobody.seed%-%width%-50%", "%Nobody.seed%-%width%-50%"),
        ("%CreateVideo.fps%", "7"),
        ("%LoadImage.image%", "a_b_.png"),
    ],
)
def test_placeholders_in_names(prefix, expected, sound):
    prompt = change(change(sound, "11", filename_prefix=prefix), "8", seed=12)
    prompt = change(change(prompt, "10", fps=7.0), "2", image="a/b?.png")
    assert filled(prompt, MOMENT)["11"]["inputs"]["filename_prefix"] == expected


def test_names_of_nodes_that_do_not_run():
    """A muted node's value, by the title that it has."""
    s = sheet()
    s.node(20, "StableVideoFitImage", [640, 48, "crop"], mode=MUTED, title="Old size")
    document = chain(s, save={"values": ["%Old size.width%-%StableVideoFitImage.width%", "auto", "auto"]}).saved()
    s.nodes[20]["properties"] = {}
    prompt = export(s.saved(), INFOS[NEW]).prompt
    assert prompt["11"]["inputs"]["filename_prefix"] == "640-%StableVideoFitImage.width%"
    assert export(document, INFOS[NEW]).prompt["11"]["inputs"]["filename_prefix"] == "640-640"  # the first of its kind


def test_a_setting_is_in_the_name(sound, tmp_path):
    prompt = change(sound, "11", filename_prefix="%StableVideoSample.seed%/%date:yyyy%\x1b[31m")
    (path,) = run_document(prompt, tmp_path, ["8.seed=99", "8.steps=1", "8.frames=1"])
    assert path.relative_to(tmp_path / "output").as_posix() == f"99/{time.strftime('%Y')}_[31m_00001_.mp4"


# ---- files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_any_encoding_of_unicode(encoding, sound, tmp_path):
    prompt = change(sound, "11", filename_prefix="Bürste")
    (tmp_path / "w.json").write_bytes(json.dumps(prompt, ensure_ascii=False).encode(encoding))
    assert read_document(tmp_path / "w.json") == prompt


def film_of(path, metadata):
    frames = torch.zeros(2, 16, 16, 3)
    if path.suffix == ".mp4":
        films.write_film(path, frames, Fraction(7), metadata)
    elif path.suffix == ".webp":
        films.write_film(path, frames, 7, metadata, lossless=False, quality=80)
    elif path.suffix == ".png":
        films.write_pngs([path], frames[:1], metadata)
    else:
        with av.open(str(path), "w") as container:
            container.metadata.update({key: json.dumps(value) for key, value in metadata.items()})
            stream = container.add_stream("libvpx", rate=7)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
            container.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "webp", "png", "webm", "mkv"])
def test_a_film_or_picture_is_the_workflow_that_made_it(suffix, sound, tmp_path):
    document = {"nodes": [], "links": []}
    for metadata, expected in (
        ({"prompt": sound, "workflow": document}, sound),
        ({"workflow": document}, document),
    ):
        assert read_document(film_of(tmp_path / f"a.{suffix}", metadata)) == expected
        (tmp_path / f"a.{suffix}").unlink()


@pytest.mark.parametrize("suffix", ["mp4", "webp", "png"])
def test_a_film_without_a_workflow(suffix, tmp_path):
    path = film_of(tmp_path / f"a.{suffix}", {})
    with pytest.raises(InputError, match="brings no workflow along"):
        read_document(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="brings no workflow along"):
        read_document(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 984 + "]" * 984, "nested too deep"),
        ('{"1": ' + "[" * 200 + "]" * 200 + "}", "nested too deep"),
        ('{"1": {"class_type": "LoadImage", "inputs": {"image": ' + "9" * 4300 + "}}}", "a number of 4,300 digits"),
        ('{"1": -' + "9" * 9000 + "}", "a number of 9,001 digits"),
        ('{"1": 1e999}', 'Node 1 has no "class_type"'),
    ],
)
def test_bounds_of_a_file(text, expected, tmp_path):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(InputError, match=expected):
        run(Job(tmp_path / "w.json", output=tmp_path / "output"), Silent())
    assert not (tmp_path / "output").exists()


def test_brackets_in_texts_are_no_nesting(tmp_path):
    (tmp_path / "w.json").write_text(json.dumps({"1": {"class_type": "Note", "inputs": {"text": '\\"' + "[{" * 500}}}))
    assert read_document(tmp_path / "w.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "w.json")
    with pytest.raises(InputError, match="it is no file"):
        read_document(tmp_path / "w.json")


# ---- what goes into films


def test_what_is_wired_into_a_film_is_strict_json_without_places(sound, tmp_path):
    """A server's own notes hold NaN, which no browser reads, and paths of its disk."""
    prompt = change(sound, "8", steps=1, frames=1)
    prompt = {id: {**node, "is_changed": [math.nan, "/home/ada/models/svd.safetensors"]} for id, node in prompt.items()}
    prompt["60"] = {"class_type": "PrimitiveFloat", "inputs": {"value": math.nan}}
    (path,) = run_document(prompt, tmp_path)

    def refuse(constant):
        raise AssertionError(constant)

    with av.open(str(path)) as film:
        wired = film.metadata["prompt"]
    told = json.loads(wired, parse_constant=refuse)
    assert told["1"]["inputs"]["checkpoint"] == Path(sound["1"]["inputs"]["checkpoint"]).name
    assert all(node.keys() <= {"class_type", "inputs", "_meta"} for node in told.values())
    assert "/home/ada" not in wired
    assert str(tmp_path) not in wired
    (again,) = run(Job(path, ["LoadImage.image=" + sound["2"]["inputs"]["image"]], tmp_path / "output",
                       [Path(sound["1"]["inputs"]["checkpoint"]).parent], "cpu"), Silent())  # fmt: skip
    assert again.name == "svd_quickstart_00002_.mp4"


def test_only_what_is_a_place_loses_it(tmp_path):
    (tmp_path / "a.png").touch()
    told = {
        "a": [str(tmp_path / "a.png"), "/no/such/file.png", "sub/a.png", "a\0b", "/" * 5000, math.inf, 3, None, True]
    }
    kept = ["/no/such/file.png", "sub/a.png", "a\0b", "/" * 5000, None, 3, None, True]
    assert portable(told) == {"a": ["a.png", *kept]}
    assert strict({"a": [math.nan, {"b": -math.inf}]}) == {"a": [None, {"b": None}]}


def test_titles_are_shown_without_what_a_terminal_obeys(sound, tmp_path):
    title = "\x1b]0;PWNED\x07\x1b[31mred\n\u202etxt\x9b"
    prompt = {**sound, "2": {**sound["2"], "_meta": {"title": title}, "inputs": {"image": "\x1b[2Jno.png"}}}
    with pytest.raises(WorkflowError) as caught:
        run_document(prompt, tmp_path)
    (problem,) = caught.value.problems
    assert 'Node 2 "\\x1b]0;PWNED\\x07\\x1b[31mred\\n\\u202etxt\\x9b"' in problem
    assert problem == printable(problem)
    catalogue = Catalogue.of(Workspace(tmp_path))
    assert parse(prompt, catalogue.infos)["2"].title == printable(title)
    json.dumps(prompt)


# ---- where pictures and checkpoints are


def test_pictures_of_the_output_and_temp_folders(tmp_path):
    work = tmp_path / "work"
    for folder in ("output/sub", "temp", "input"):
        (work / folder).mkdir(parents=True)
    picture(work / "output" / "sub" / "a.png")
    picture(work / "temp" / "b.png")
    picture(work / "input" / "c.png")
    space = Workspace(work / "output", (work, work / "input"))
    for name, expected in (
        ("sub/a.png [output]", "output/sub/a.png"),
        ("sub\\a.png [output]", "output/sub/a.png"),
        ("b.png [temp]", "temp/b.png"),
        ("c.png [input]", "input/c.png"),
        ("c.png", "input/c.png"),
        ("output\\sub\\a.png", "output/sub/a.png"),
    ):
        assert space.find(name) == work / expected
    for name in ("a.png [output]", "c.png [output]", "\0", "x" * 5000):
        with pytest.raises(InputError, match="There is no picture"):
            space.find(name)


def test_windows_backslashes_in_names(sound, tmp_path):
    for folder in ("ckpt/sub", "inp/sub"):
        (tmp_path / folder).mkdir(parents=True)
    checkpoint(tmp_path / "ckpt" / "sub", "t.safetensors")
    picture(tmp_path / "inp" / "sub" / "p.png")
    prompt = change(change(sound, "1", checkpoint="sub\\t.safetensors"), "2", image="inp\\sub\\p.png")
    (tmp_path / "w.json").write_text(json.dumps(change(prompt, "8", steps=1, frames=1)))
    assert run(Job(tmp_path / "w.json", (), tmp_path / "output", [tmp_path / "ckpt"], "cpu"), Silent())


def test_no_home_and_an_unknown_user(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    with_home = standalone.default_folders()
    monkeypatch.setattr(Path, "home", homeless)
    assert standalone.default_folders() == with_home[:-1]
    program = """
import os, pwd, sys
def nobody(uid):
    raise KeyError(uid)
os.environ.pop("HOME", None)
pwd.getpwuid = nobody
from svd_nodes.headless.cli import app
app(["inspect", sys.argv[1]])
"""
    if sys.platform != "win32":
        tiny = str(checkpoint(tmp_path))
        done = subprocess.run([sys.executable, "-c", program, tiny], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("system", "place"), [("linux", "comfy"), ("darwin", "Documents/comfy"), ("win32", "Documents/comfy")]
)
def test_the_place_of_comfy_cli_s_editor(system, place, monkeypatch):
    monkeypatch.setattr(sys, "platform", system)
    expected = Path.home() / place / "ComfyUI" / "models" / "checkpoints"
    assert standalone.default_folders()[-1] == expected


@pytest.mark.slow
def test_damaged_workflows_are_taken_or_refused_in_a_sentence():
    """More of them: python -m svd_nodes.tests.fuzz.workflows."""
    assert faults(range(150), seed=7) == {}
