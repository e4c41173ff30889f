"""The extension in web/: its own tests in node's test runner, and what it works out as Python does."""

import json
import re
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from svd_nodes.nodes import NODES, shortage, wires
from svd_nodes.nodes.image import FitImage
from svd_nodes.nodes.needs import NUMBERS
from svd_nodes.svd import recommended
from svd_nodes.svd.guidance import SHAPES, guidance_scale
from svd_nodes.svd.recommended import NANO, Recommended

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
        (shape, low, high, frames)
        for shape in SHAPES
        for low, high in ((1, 3), (0, 2.5), (3, 1))
        for frames in (1, 2, 14)
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


@needs_node
def test_the_page_and_the_command_line_say_the_same_of_settings_away_from_the_best():
    bests = (
        Recommended(frames=25),
        Recommended(),
        Recommended(frames=25, fps=6.0, always="SVD-XT 1.1"),
        NANO,
        Recommended(width=640, height=384, motion_bucket_id=0, steps=8, schedule="align-your-steps", max_guidance=2.5),
    )
    values: dict[str, tuple[tuple[Any, ...], ...]] = {
        "offSize": ((1024, 576), (576, 1024), (256, 256), (1000, 576), (32, 24), (512, 288), (264, 248), (1440, 800)),
        "offFrames": ((25,), (14,), (1,)),
        "offMotion": ((7.0, 127), (6.0, 127), (6.0, 60), (30.0, 180), (29.97, 191), (7.0, 105), (7.0, 1), (7.0, 0)),
        "offGuidance": ((1.0,), (2.0,), (3.0,), (3.75,), (4.5,), (100.0,)),
        "offSteps": ((5, "karras"), (6, "karras"), (12, "karras"), (13, "karras"), (3, "align-your-steps")),
    }  # fmt: skip
    cases = [(name, best, given) for name, every in values.items() for best in bests for given in every]
    asked = json.dumps([(name, asdict(best), given) for name, best, given in cases])
    told = evaluated("recommended", f"{asked}.map(([name, best, given]) => it[name](best, ...given, say) ?? null)")
    snake = {name: name.replace("off", "off_").lower() for name in values}
    assert told == [getattr(recommended, snake[name])(best, *given) for name, best, given in cases]
    assert 30 < sum(sentence is None for sentence in told) < len(told) - 30
    sizes = evaluated("recommended", f"{json.dumps([asdict(best) for best in bests])}.map(it.trainedSizes)")
    assert sizes == [[list(size) for size in best.sizes] for best in bests]


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
        ("off_motion", "StableVideoCondition", "motion_bucket_id"),
        ("off_steps", "StableVideoSample", "steps"),
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
