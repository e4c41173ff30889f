"""The extension in web/: its own tests in node's test runner, and what it works out as Python does."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from svd_nodes.nodes import NODES, shortage, wires
from svd_nodes.nodes.image import FitImage
from svd_nodes.nodes.needs import NUMBERS
from svd_nodes.nodes.sample import Sample
from svd_nodes.svd.guidance import SHAPES, guidance_scale

REPOSITORY = Path(__file__).parents[1]
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed, so the extension in web/ is not tested")


def node(*arguments: str) -> str:
    done = subprocess.run([str(NODE), *arguments], capture_output=True, text=True, cwd=REPOSITORY, timeout=60)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def evaluated(module: str, expression: str) -> Any:
    """An expression over what a module of web/svd exports, in scope as `it`; `say` speaks English."""
    words = "import { Words } from './web/svd/words.js'; const { say } = new Words()"
    code = f"import * as it from './web/svd/{module}.js'; {words}; console.log(JSON.stringify({expression}))"
    return json.loads(node("--input-type=module", "--eval", code))


@needs_node
@pytest.mark.parametrize("path", sorted((REPOSITORY / "tests" / "web").glob("*.test.js")), ids=lambda path: path.name)
def test_in_node(path):
    node("--test", str(path))


@needs_node
def test_the_curve_is_the_guidance_of_the_sampler():
    cases = [
        (shape, low, high, frames) for shape in SHAPES for low, high in ((1, 3), (0, 2.5)) for frames in (1, 2, 14)
    ]
    drawn = evaluated("guidance", f"{json.dumps(cases)}.map(c => it.scales(...c))")
    for case, values in zip(cases, drawn, strict=True):
        shape, low, high, frames = case
        assert values == pytest.approx(guidance_scale(shape, low, high, frames).tolist(), abs=1e-6), case


@needs_node
def test_the_question_is_the_one_the_server_answers():
    settings = dict.fromkeys(NUMBERS, 8) | {"checkpoint": "a", "precision": "auto", "memory": "low"}
    asked = evaluated("needs", f"[...new URLSearchParams(it.question({json.dumps(settings)})).keys()]")
    assert set(asked) == {"checkpoint", "precision", "memory", "guided", *NUMBERS}


@needs_node
def test_the_page_refuses_what_the_nodes_refuse_in_the_same_words():
    sizes = [(500, 576), (571, 9), (1024, 576), (13, 8190)]
    told = evaluated("checks", f"{json.dumps(sizes)}.map(c => it.size(...c, say) ?? true)")
    assert told == [FitImage.validate_inputs(*size) for size in sizes]
    shapes = [("linear", 3, 1), ("triangle", 2.5, 1.25), ("constant", 3, 1), ("linear", 1, 3)]
    told = evaluated("checks", f"{json.dumps(shapes)}.map(c => it.guidance(...c, say) ?? true)")
    assert told == [Sample.validate_inputs(low, high, shape) for shape, low, high in shapes]


@needs_node
def test_every_type_of_wire_has_a_colour():
    types = {t.io_type for t in vars(wires).values() if getattr(t, "io_type", "").startswith("SVD_")}
    assert set(evaluated("colours", "it.COLOURS")) == types


@pytest.mark.parametrize("language", ["zh", "ja", "es"])
def test_advice_calls_the_inputs_by_the_names_they_have_in_that_language(language):
    table = json.loads((REPOSITORY / "web" / "svd" / "words" / f"{language}.json").read_text(encoding="utf-8"))
    named = json.loads((REPOSITORY / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    for key, node, name in (
        ("short_low", "StableVideoLoadCheckpoint", "memory"),
        ("short_frames", "StableVideoSample", "frames"),
        ("short_chunk", "StableVideoDecode", "frames_per_chunk"),
        ("off_fps", "StableVideoCondition", "fps"),
        ("off_bucket", "StableVideoCondition", "motion_bucket_id"),
    ):
        assert named[node]["inputs"][name]["name"] in table[key], key


def test_the_page_and_the_server_say_alike_when_memory_is_short():
    text = (REPOSITORY / "web" / "svd" / "needs.js").read_text()
    assert f"const SHARE = {shortage.SHARE} " in text


def test_the_panels_belong_to_nodes_that_exist():
    """And they read widgets that exist."""
    text = "".join(path.read_text() for path in (REPOSITORY / "web" / "svd").glob("*.js"))
    infos = {node.GET_SCHEMA().node_id: node.GET_NODE_INFO_V1() for node in NODES}
    named = set(re.findall(r"StableVideo\w+", text))
    assert named <= set(infos)
    inputs = {name for info in infos.values() for group in info["input"].values() for name in group}
    read = set(re.findall(r"(?:setting\(\w+|own\(), ?\"(\w+)\"|own\(\"(\w+)\"\)", text))
    assert read
    assert {name for pair in read for name in pair if name} <= inputs
