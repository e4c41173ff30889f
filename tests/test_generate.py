"""`generate`: what it takes from the checkpoint and the picture where it is not told, and what it says of the rest."""

import json
import os
import re
import shutil
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import pytest
from command import SMALL, call, refused
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_files import ROOT, WORKFLOWS, checkpoint, picture

from svd_nodes.headless.clipfile import frames as frames_of
from svd_nodes.headless.films import FILM_ENDINGS
from svd_nodes.headless.generate import plan
from svd_nodes.headless.request import Request, frame_rate
from svd_nodes.nodes.host.folders import PACK_CHECKPOINTS
from svd_nodes.svd import open_checkpoint
from svd_nodes.svd import recommended as subject
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.recommended import KEY, NANO, Recommended, recommended

OWN = {"width": 128, "height": 64, "frames": 5, "fps": 9.5, "motion_bucket_id": 40, "steps": 3}
OWN |= {"schedule": "align-your-steps", "min_guidance": 1.25, "max_guidance": 1.5}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def own(tiny, tmp_path_factory):
    """The tiny checkpoint with recommendations of its own."""
    path = tmp_path_factory.mktemp("own") / "own.safetensors"
    with safe_open(tiny, "pt") as file:
        save_file(load_file(tiny), path, metadata=file.metadata() | {KEY: json.dumps(OWN)})
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    picture(tmp_path / "lying.png", 40, 30)
    picture(tmp_path / "standing.png", 30, 40)
    return tmp_path


# ---- what a checkpoint is at its best with


def told(metadata, name="x.safetensors", frames=None):
    return recommended(SimpleNamespace(metadata=metadata, path=Path(name), frames=frames))


def test_the_files_metadata_win_and_the_family_has_the_rest():
    assert told({KEY: json.dumps(OWN)}, frames=25) == Recommended(**OWN)
    assert told({}, frames=25) == Recommended(frames=25)
    assert told({}) == Recommended()
    assert told({KEY: '{"steps": 7}', "modelspec.title": "svd-nano"}) == subject.replace(NANO, steps=7)
    assert told({}, "svd_xt_1_1.safetensors", 25) == Recommended(frames=25, fps=6.0, always="SVD-XT 1.1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"karras"',
        "[" * 100_000,
        '{"steps": ' + "9" * 5000 + "}",
        '{"width": 100}',
        '{"width": true, "height": 0, "frames": -1, "fps": "7", "motion_bucket_id": 7.5, "steps": 1e9}',
        '{"schedule": ["karras"], "min_guidance": NaN, "max_guidance": Infinity}',
        '{"always": "SVD-XT 1.1", "colour": 1}',
    ],
)
def test_recommendations_that_cannot_be_are_passed_over(text):
    assert told({KEY: text}) == Recommended()


@pytest.mark.parametrize(
    ("best", "size", "expected"),
    [
        (Recommended(), (4000, 3000), (1024, 576)),
        (Recommended(), (3000, 4000), (576, 1024)),
        (Recommended(), (500, 500), (1024, 576)),
        (Recommended(width=320, height=512), (400, 300), (512, 320)),
        (Recommended(width=320, height=512), (500, 500), (320, 512)),
        (NANO, (3000, 4000), (256, 256)),
    ],
)
def test_the_size_lies_or_stands_as_the_picture_does(best, size, expected):
    assert best.size(*size) == expected


def test_the_bundled_checkpoint_is_told_what_its_template_has():
    best = recommended(open_checkpoint(PACK_CHECKPOINTS / "svd_nano.safetensors"))
    nodes = json.loads((WORKFLOWS / "api" / "quickstart.json").read_text()).values()
    inputs = {name: value for node in nodes for name, value in node["inputs"].items()}
    for name, value in vars(best).items():
        if name in inputs:
            assert inputs[name] == value, name


XT, XT_1_1 = Recommended(frames=25), Recommended(frames=25, fps=6.0, always="SVD-XT 1.1")


@pytest.mark.parametrize(
    ("check", "best", "values", "sentence"),
    [
        ("off_size", XT, (1024, 576), None),
        ("off_size", XT, (768, 768), None),
        ("off_size", XT, (1000, 576), "Multiples of 64 work best: 1024 × 576."),
        ("off_size", XT, (512, 288), "This checkpoint is at its best at 1024 × 576 or 576 × 1024."),
        ("off_size", NANO, (320, 320), None),
        ("off_size", NANO, (1024, 576), "This checkpoint is at its best at 256 × 256."),
        ("off_frames", XT, (25,), None),
        ("off_frames", XT, (14,), "This checkpoint was trained on 25 frames."),
        ("off_frames", Recommended(), (3,), None),
        ("off_motion", XT, (30.0, 180), None),
        ("off_motion", XT, (7.0, 255), "This checkpoint is at its best with motion buckets around 127."),
        ("off_motion", NANO, (7.0, 127), "This checkpoint is at its best with motion buckets around 70."),
        ("off_motion", XT_1_1, (6.0, 127), None),
        ("off_motion", XT_1_1, (7.0, 127), "SVD-XT 1.1 was trained with fps 6 only."),
        ("off_motion", XT_1_1, (6.0, 60), "SVD-XT 1.1 was trained with motion bucket 127 only."),
        ("off_motion", XT_1_1, (7.0, 60), "SVD-XT 1.1 was trained with fps 6 and motion bucket 127 only."),
        ("off_guidance", XT, (3.0,), None),
        ("off_guidance", NANO, (2.5,), None),
        ("off_guidance", NANO, (3.0,), "This checkpoint is at its best with guidance up to 2."),
        ("off_steps", XT, (13, "karras"), None),
        ("off_steps", XT, (12, "karras"), "This checkpoint is at its best with about 25 steps."),
        ("off_steps", XT, (10, "align-your-steps"), None),
        ("off_steps", NANO, (6, "karras"), None),
    ],
)
def test_what_is_said_of_settings_away_from_the_best(check, best, values, sentence):
    assert getattr(subject, check)(best, *values) == sentence


def test_the_words_are_those_of_the_editors_page():
    page = (ROOT / "web/svd/words.js").read_text(encoding="utf-8")
    assert dict(re.findall(r'^  (off_\w+): "(.*)",$', page, re.MULTILINE)) == subject.WORDS


# ---- what generate makes of it


def planned(*pictures, **given):
    return plan(Request(tuple(map(Path, pictures)), "out", device="cpu", **given))


def test_what_is_not_given_is_the_checkpoints_own(folder, own):
    made = planned("lying.png", checkpoint=str(own))
    settings, (shot,) = made.settings, made.shots
    assert (shot.width, shot.height) == (128, 64)
    assert (settings.frames, settings.steps, settings.schedule) == (5, 3, "align-your-steps")
    assert (settings.fps, settings.motion_bucket) == (Fraction(19, 2), 40)
    assert settings.scale.tolist() == pytest.approx([1.25, 1.3125, 1.375, 1.4375, 1.5])
    given = {"frames": 2, "steps": 9, "schedule": "karras", "fps": Fraction(24000, 1001), "motion_bucket": 0}
    made = planned("lying.png", checkpoint=str(own), width=64, min_guidance=0.0, max_guidance=0.0, **given)
    assert {name: getattr(made.settings, name) for name in given} == given
    assert (made.shots[0].width, made.shots[0].height) == (64, 64)
    assert made.settings.scale.tolist() == [0, 0]


def test_every_picture_has_its_own_orientation(folder, own):
    turned = Image.Exif()
    turned[0x0112] = 6  # a camera held upright
    Image.new("RGB", (40, 30)).save("turned.jpg", exif=turned)
    made = planned("lying.png", "standing.png", "turned.jpg", checkpoint=str(own))
    assert [(shot.width, shot.height) for shot in made.shots] == [(128, 64), (64, 128), (64, 128)]


@pytest.mark.parametrize(
    ("size", "given", "note"),
    [
        ((400, 300), {}, "p.png is 400 × 300: 33 % of its height is cut off for 128 × 64. --fit pad shows all of it."),
        ((400, 100), {}, "p.png is 400 × 100: 50 % of its width is cut off for 128 × 64. --fit pad shows all of it."),
        ((201, 100), {}, None),  # half a row
        ((400, 300), {"fit": "pad"}, None),
        ((400, 300), {"fit": "stretch"}, None),
    ],
)
def test_what_is_cut_off_is_said(folder, own, size, given, note):
    picture(folder / "p.png", *size)
    assert planned("p.png", checkpoint=str(own), **given).notes == ((note,) if note else ())


def test_notes_are_on_stderr_and_each_is_said_once(folder, tiny):
    words = ["lying.png", "standing.png", "-o", "clips", "--checkpoint", tiny, "--frames", 2, *SMALL]
    code, out, err = call("generate", *words)
    assert (code, out) == (0, "clips/lying.mp4\nclips/standing.mp4\n")
    notes = [line.removeprefix("note  ") for line in err.splitlines() if line.startswith("note  ")]
    assert notes == [
        "This checkpoint was trained on 4 frames.",
        "This checkpoint is at its best with about 25 steps.",
        "This checkpoint is at its best at 1024 × 576 or 576 × 1024.",
        "standing.png is 30 × 40: 44 % of its height is cut off for 32 × 24. --fit pad shows all of it.",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
def test_a_pictures_name_is_shown_and_not_obeyed(folder, tiny):
    picture(folder / "b\x1b[2J.png")
    words = ["b\x1b[2J.png", "-o", "a.mp4", "--checkpoint", tiny, "--frames", 1, *SMALL]
    code, _, err = call("generate", *words)
    assert code == 0
    assert "Look at b\\x1b[2J.png" in err
    assert "\x1b" not in err


def test_guidance_may_fall(folder, own):
    made = planned("lying.png", checkpoint=str(own), min_guidance=4.0, max_guidance=2.0)
    assert made.settings.scale.tolist() == [4, 3.5, 3, 2.5, 2]


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("7", Fraction(7)),
        ("29.97", Fraction(2997, 100)),
        ("23.976", Fraction(2997, 125)),
        ("24000/1001", Fraction(24000, 1001)),
        (" 30/1 ", Fraction(30)),
        *(
            (text, None)
            for text in ("", "7/0", "1/00", "-7", "+7", "nan", "inf", "1e3", "1e999999999", "٣", "0x7", "7/")
        ),
        ("9" * 5000, None),
    ],
)
def test_frame_rates_as_people_write_them(text, rate):
    if rate is None:
        with pytest.raises(ValueError, match="write it as 24"):
            frame_rate(text)
    else:
        assert frame_rate(text) == rate


def test_the_film_plays_at_the_very_rate(folder, tiny):
    words = ["lying.png", "-o", "a.mp4", "--checkpoint", tiny, "--frames", 2, "--fps", "24000/1001", *SMALL]
    assert call("generate", *words)[0] == 0
    with av.open("a.mp4") as film:
        assert film.streams.video[0].average_rate == Fraction(24000, 1001)
        told = json.loads(film.metadata["generate"])
    assert (told["seed"], told["fps"], told["frames"], told["picture"]) == (0, "24000/1001", 2, "lying.png")
    assert told["checkpoint"] == Path(tiny).name  # and no path of this disk
    assert str(folder) not in json.dumps(told)


@pytest.mark.parametrize("output", [*(f"clip{ending}" for ending in FILM_ENDINGS), "take.1/", "frames"])
def test_forward_and_backward_in_every_format(output, folder, tiny):
    words = ["lying.png", "-o", output, "--checkpoint", tiny, "--frames", 3, "--pingpong", *SMALL]
    code, out, err = call("generate", *words)
    assert (code, out) == (0, f"{output.rstrip('/')}\n"), err
    if Path(output).is_dir():
        first, second, _, last = sorted(Path(output).iterdir())
        assert second.read_bytes() == last.read_bytes() != first.read_bytes()
    else:
        assert len(list(frames_of(Path(output)))) == 4


@pytest.mark.parametrize("name", ["min_guidance", "max_guidance", "noise_aug"])
def test_no_number_is_refused_without_the_command_line_too(name, folder):
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} is nan; give it a number."):
        planned("lying.png", **{name: float("nan")})


# ---- checkpoints by name


def test_a_name_with_backslashes_is_found(folder, tiny):
    """As workflows from Windows have it; a file whose own name has one comes first."""
    from svd_nodes.nodes.host.folders import find_checkpoint

    Path("models/sub").mkdir(parents=True)
    Path("models/sub/t.safetensors").touch()
    assert find_checkpoint("sub\\t.safetensors", [Path("models")]) == Path("models/sub/t.safetensors")
    if os.sep == "/":
        Path("models/sub\\t.safetensors").touch()
        assert find_checkpoint("sub\\t.safetensors", [Path("models")]) == Path("models/sub\\t.safetensors")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("svd_nan.safetensors", "svd_nano.safetensors"),
        ("svd_nano", "svd_nano.safetensors"),
        ("SVD-nano.safetensor", "svd_nano.safetensors"),
        ("svd_xt.safetensors", None),  # another model, though most letters are the same
        ("", None),
        ("x" * 5000, None),
    ],
)
def test_the_nearest_checkpoint_is_named(name, meant, folder):
    from svd_nodes.nodes.host.folders import find_checkpoint

    with pytest.raises(InputError) as caught:
        find_checkpoint(name, [PACK_CHECKPOINTS])
    assert ("did you mean" in str(caught.value)) == (meant is not None)
    assert meant is None or f"did you mean {meant}?" in str(caught.value)


def test_no_home_is_a_folder_less(monkeypatch):
    from svd_nodes.nodes.host.folders import default_folders

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert default_folders() == (Path("models/checkpoints"), PACK_CHECKPOINTS)


def test_no_picture_is_replaced_by_its_own_clip(folder, tiny):
    frame = Path("frames") / "frame_00001.png"
    frame.parent.mkdir()
    shutil.copy("lying.png", frame)
    shutil.copy("lying.png", "own.webp")
    for source, output in ((frame, "frames"), (frame, "frames/"), ("own.webp", "own.webp")):
        before = Path(source).read_bytes()
        words = ("generate", source, "-o", output, "--checkpoint", tiny, "--overwrite", *SMALL)
        assert "would replace the picture" in refused(*words)
        assert Path(source).read_bytes() == before
    assert call("generate", frame, "-o", "sheet.gif", "--checkpoint", tiny, *SMALL)[0] == 0
    assert "a frame of one" in refused("sheet", "frames", "-o", frame, "--overwrite")


def test_a_folders_own_noise_levels_are_heeded(folder, tiny):
    assert call("convert", tiny, "own")[0] == 0
    path = Path("own") / "scheduler" / "scheduler_config.json"
    values = json.loads(path.read_text())

    def frame(name, **changed):
        path.write_text(json.dumps(values | changed))
        assert call("generate", "lying.png", "-o", name, "--checkpoint", "own", "--frames", 1, *SMALL)[0] == 0
        return next(Path(name).glob("*.png")).read_bytes()

    assert frame("usual") != frame("others", sigma_max=5.0)
    assert "noise levels of its own" in refused("convert", "own", "b.safetensors")
    path.write_text(json.dumps(values | {"prediction_type": "epsilon"}))
    for words in (["inspect", "own"], ["convert", "own", "b.safetensors"], ["generate", "lying.png", "-o", "c.mp4"]):
        words += ["--checkpoint", "own"] if words[0] == "generate" else []
        assert "prediction_type" in refused(*words)


def test_a_guidance_that_no_frame_has_is_refused(folder, tiny):
    words = ("lying.png", "-o", "a.mp4", "--checkpoint", tiny, *SMALL, "--guidance", "constant")
    assert "leave --min-guidance out" in refused("generate", *words, "--min-guidance", 2)
