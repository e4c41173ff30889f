"""The command line: what it prints, how it ends, and that it leaves nothing half-made."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import get_type_hints

import av
import numpy as np
import pytest
import torch
from command import SMALL, call, refused
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_files import WORKFLOWS, checkpoint, picture, tiny_workflow

from svd_nodes.headless.films import write_film
from svd_nodes.svd.checkpoint import load, open_checkpoint, save
from svd_nodes.tools.random_checkpoint import PRESETS, preset_models


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to stand in, with a picture, and no checkpoints at home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    picture(tmp_path / "a.png")
    return tmp_path


# ---- generate


def test_generate_a_film(folder, tiny):
    code, out, err = call("generate", "a.png", "-o", "new/film.mp4", "--checkpoint", tiny, "--fps", 9, *SMALL)
    assert (code, out.strip()) == (0, "new/film.mp4"), err
    with av.open("new/film.mp4") as film:
        stream = film.streams.video[0]
        assert (stream.frames, stream.width, stream.height, stream.average_rate) == (4, 32, 24, 9)  # 4: as trained
    assert os.listdir("new") == ["film.mp4"]


def test_generate_builds_the_kernels_while_it_loads(folder, tiny, monkeypatch):
    """And tells how far that is, which takes seconds the first time on a machine."""
    from svd_nodes.headless import generate as maker

    order = []
    for name in ("begin", "load", "build"):
        work = getattr(maker, name)
        monkeypatch.setattr(maker, name, lambda *a, n=name, w=work, **k: (order.append((n, a)), w(*a, **k))[1])
    assert call("generate", "a.png", "-o", "film.mp4", "--checkpoint", tiny, "--frames", 1, *SMALL)[0] == 0
    assert [name for name, _ in order] == ["begin", "load", "build"]
    begun, built = order[0][1], order[2][1]
    assert begun == built[:2]
    assert callable(built[2])


def test_generate_a_webp_and_a_folder_of_pngs(folder, tiny):
    words = ["--checkpoint", tiny, "--frames", 3, *SMALL]
    assert call("generate", "a.png", "-o", "film.webp", *words)[0] == 0
    with Image.open("film.webp") as film:
        assert film.n_frames == 3
    assert call("generate", "a.png", "-o", "frames", *words)[0] == 0
    assert sorted(os.listdir("frames")) == [f"frame_0000{i}.png" for i in (1, 2, 3)]
    assert sorted(os.listdir()) == ["a.png", "film.webp", "frames"]


def frames_in(folder):
    """Every PNG of a folder: t h w 3."""
    return np.stack([np.asarray(Image.open(path).convert("RGB"), int) for path in sorted(Path(folder).glob("*.png"))])


@pytest.mark.parametrize(
    ("schedule", "workflow"), [("karras", "image_to_video"), ("align-your-steps", "image_to_video_10_steps")]
)
def test_generate_is_what_the_same_workflow_makes(schedule, workflow, folder, tiny):
    """With the one seed in both nodes that draw noise."""
    prompt = tiny_workflow(workflow, tiny, Path("a.png"))
    decode = next(id for id, node in prompt.items() if node["class_type"] == "StableVideoDecode")
    prompt = {id: node for id, node in prompt.items() if node["class_type"] not in ("CreateVideo", "SaveVideo")}
    prompt["99"] = {"class_type": "SaveImage", "inputs": {"images": [decode, 0], "filename_prefix": "clip"}}
    Path("w.json").write_text(json.dumps(prompt))
    seeds = ["--set", "StableVideoSample.seed=7", "--set", "StableVideoEncodeLatent.seed=7"]
    assert call("run", "w.json", "--output", "run", "--device", "cpu", *seeds)[0] == 0
    words = ["--checkpoint", tiny, "--frames", 3, "--seed", 7, "--schedule", schedule, *SMALL]
    assert call("generate", "a.png", "-o", "made", *words)[0] == 0
    made, ran = frames_in("made"), frames_in("run")
    assert made.shape == ran.shape == (3, 24, 32, 3)
    assert np.abs(made - ran).max() <= 1
    assert call("generate", "a.png", "-o", "other", *words, "--seed", 8)[0] == 0
    assert np.abs(made - frames_in("other")).max() > 1


def test_several_pictures_are_their_single_clips_from_one_loading(folder, tiny, monkeypatch):
    from svd_nodes.headless import generate as maker

    loadings, real = [], maker.load
    monkeypatch.setattr(maker, "load", lambda *words, **more: loadings.append(words) or real(*words, **more))
    picture(folder / "b.c.jpg", 30, 40)
    words = ["--checkpoint", tiny, "--frames", 2, "--seed", 3, *SMALL]
    code, out, err = call("generate", "a.png", "b.c.jpg", "-o", "clips/", *words)
    assert (code, out) == (0, "clips/a.mp4\nclips/b.c.mp4\n"), err
    assert len(loadings) == 1
    for image, clip in (("a.png", "a.mp4"), ("b.c.jpg", "b.c.mp4")):
        assert call("generate", image, "-o", clip, *words)[0] == 0
        assert Path(clip).read_bytes() == Path("clips", clip).read_bytes()
    assert Path("a.mp4").read_bytes() != Path("b.c.mp4").read_bytes()


def test_several_pictures_are_checked_before_the_work(folder, tiny, monkeypatch):
    monkeypatch.setattr("svd_nodes.headless.generate.load", None)
    picture(folder / "b.png")
    Path("sub").mkdir()
    picture(folder / "sub" / "A.jpg")
    Path("broken.png").write_bytes(b"x")
    Path("taken").touch()
    Path("there").mkdir()
    Path("there/b.mp4").write_text("mine")
    words = ["--checkpoint", tiny, *SMALL]
    for pictures, output, sentence in (
        (["a.png", "b.png"], "film.mp4", "Several pictures need a folder for their clips, and film.mp4 is none"),
        (["a.png", "b.png"], "taken", "Several pictures need a folder for their clips, and taken is none"),
        (["a.png", "sub/A.jpg"], "new", "Two of the pictures would become new/a.mp4; rename one"),
        (["a.png", "broken.png"], "new", "broken.png cannot be read as a picture"),
        (["a.png", "b.png"], "there", "there/b.mp4 exists already"),
        (["a.png", "b.png"], "x" * 250, "is longer than 200 bytes"),
    ):
        assert sentence in refused("generate", *pictures, "-o", output, *words)
    assert not Path("new").exists()
    assert Path("there/b.mp4").read_text() == "mine"


def test_a_failing_picture_loses_no_finished_clip(folder, tiny, monkeypatch):
    from svd_nodes.headless import generate as maker
    from svd_nodes.svd.errors import NonFiniteError

    def decode(*words):
        if Path("clips/a.mp4").exists():
            raise NonFiniteError("The frames are NaN: load the model in bf16.")
        return real(*words)

    real = maker.decode
    monkeypatch.setattr(maker, "decode", decode)
    picture(folder / "b.png")
    code, out, err = call("generate", "a.png", "b.png", "-o", "clips", "--checkpoint", tiny, "--frames", 1, *SMALL)
    assert (code, out) == (1, "clips/a.mp4\n")
    assert "b.png: The frames are NaN" in err
    assert os.listdir("clips") == ["a.mp4"]


def test_many_pictures_leave_the_newest_lines_on_the_terminal():
    from svd_nodes.headless.progress import SHOWN, Bars

    with Bars() as bars:
        for position in range(40):
            bars.started(f"stage {position}", position, 40)
            bars.stepped(1, 2)
            bars.finished()
        tasks = bars._progress.tasks
    assert [task.description for task in tasks] == [f"stage {i}" for i in range(40 - SHOWN, 40)]
    assert all(task.finished for task in tasks)


def test_a_log_gets_a_line_a_stage_and_one_now_and_then(folder, tiny, monkeypatch):
    from svd_nodes.headless import progress

    monkeypatch.setattr(progress, "EVERY", 0.0)
    _, _, err = call("generate", "a.png", "-o", "film.mp4", "--checkpoint", tiny, "--frames", 1, *SMALL)
    lines = [line for line in err.splitlines() if not line.startswith("note")]
    assert lines[:2] == ["1/5  Load the checkpoint", "2/5  Look at a.png"]
    assert "3/5  Make the frames: 1 of 2 after 0 s" in lines
    assert lines[-1] == "5/5  Save"
    monkeypatch.setattr(progress, "EVERY", 60.0)
    _, _, err = call("generate", "a.png", "-o", "b.mp4", "--checkpoint", tiny, "--frames", 1, *SMALL)
    assert sum(not line.startswith("note") for line in err.splitlines()) == 5


def test_every_memory_mode_makes_the_same_frames(folder, tiny):
    for mode in ("auto", "fast", "balanced", "low"):
        words = ["-o", mode, "--checkpoint", tiny, "--frames", 3, "--memory", mode, *SMALL]
        assert call("generate", "a.png", *words)[0] == 0
        assert np.abs(frames_in(mode) - frames_in("auto")).max() <= 1


def test_generate_does_not_overwrite_unasked(folder, tiny):
    words = ["--checkpoint", tiny, "--frames", 1, *SMALL]
    Path("film.mp4").write_text("mine")
    assert "--overwrite" in refused("generate", "a.png", "-o", "film.mp4", *words)
    assert Path("film.mp4").read_text() == "mine"
    assert call("generate", "a.png", "-o", "film.mp4", "--overwrite", *words)[0] == 0
    assert Path("film.mp4").stat().st_size > 500
    assert call("generate", "a.png", "-o", "frames", *words)[0] == 0
    assert "--overwrite" in refused("generate", "a.png", "-o", "frames", *words)
    assert call("generate", "a.png", "-o", "frames", "--overwrite", *words)[0] == 0
    Path("frames/diary.txt").write_text("mine")
    assert "holds something else" in refused("generate", "a.png", "-o", "frames", "--overwrite", *words)
    assert Path("frames/diary.txt").exists()


def meanwhile(monkeypatch, act):
    """Does something while the frames are made."""
    from svd_nodes.headless import generate as maker

    def decode(*words, **settings):
        act()
        return real(*words, **settings)

    real = maker.decode
    monkeypatch.setattr(maker, "decode", decode)


def test_what_appears_during_the_run_is_kept(folder, tiny, monkeypatch):
    def act():
        Path("film.mp4").write_text("mine")
        Path("frames").mkdir(exist_ok=True)
        Path("frames/diary.txt").write_text("mine")

    meanwhile(monkeypatch, act)
    words = ["--checkpoint", tiny, "--frames", 2, *SMALL]
    assert call("generate", "a.png", "-o", "film.mp4", *words)[:2] == (0, "film_00001_.mp4\n")
    shutil.rmtree("frames")
    assert call("generate", "a.png", "-o", "frames", *words)[:2] == (0, "frames/frames\n")
    assert Path("film.mp4").read_text() == Path("frames/diary.txt").read_text() == "mine"
    assert Path("film_00001_.mp4").stat().st_size > 500
    assert sorted(os.listdir("frames")) == ["diary.txt", "frames"]
    assert sorted(os.listdir("frames/frames")) == ["frame_00001.png", "frame_00002.png"]


def test_replacing_takes_away_older_frames_and_nothing_else(folder, tiny, monkeypatch):
    words = ["--checkpoint", tiny, *SMALL, "-o", "frames"]
    assert call("generate", "a.png", "--frames", 3, *words)[0] == 0
    old = Path("frames/frame_00001.png").read_bytes()
    meanwhile(monkeypatch, lambda: Path("frames/diary.txt").write_text("mine"))
    assert call("generate", "a.png", "--frames", 2, "--seed", 1, "--overwrite", *words)[:2] == (0, "frames\n")
    assert sorted(os.listdir("frames")) == ["diary.txt", "frame_00001.png", "frame_00002.png"]
    assert Path("frames/frame_00001.png").read_bytes() != old


def test_frames_into_this_folder_and_through_a_link(folder, tiny, monkeypatch):
    words = ["--checkpoint", tiny, "--frames", 1, *SMALL]
    Path("here").mkdir()
    Path("there").mkdir()
    Path("link").symlink_to("there")
    assert call("generate", "a.png", "-o", "link", *words)[:2] == (0, "link\n")
    monkeypatch.chdir("here")
    assert call("generate", "../a.png", "-o", ".", *words)[:2] == (0, ".\n")
    assert os.listdir(".") == os.listdir("../there") == ["frame_00001.png"]
    assert Path("../link").is_symlink()
    before = Path("frame_00001.png").read_bytes()
    assert call("generate", "../a.png", "-o", ".", "--overwrite", "--seed", 1, *words)[0] == 0
    assert Path("frame_00001.png").read_bytes() != before
    assert os.listdir(".") == ["frame_00001.png"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_takes_no_frames_is_known_before_the_work(folder, tiny):
    Path("locked").mkdir(0o500)
    assert "Nothing can be written to" in refused("generate", "a.png", "-o", "locked", "--checkpoint", tiny, *SMALL)


BAD_REQUESTS = {
    "picture missing": (["no.png"], "There is no picture at no.png"),
    "picture empty": (["empty.png"], "empty.png cannot be read as a picture"),
    "picture damaged": (["half.png"], "half.png cannot be read as a picture"),
    "picture is a folder": (["."], "is a folder: give a picture in it"),
    "width": (["a.png", "--width", 1001], "1001"),
    "width of nothing": (["a.png", "--width", 0], "--width"),
    "no frames": (["a.png", "--frames", 0], "--frames"),
    "no steps": (["a.png", "--steps", 0], "--steps"),
    "chunk of nothing": (["a.png", "--decode-chunk", 0], "--decode-chunk"),
    "seed too large": (["a.png", "--seed", 2**64], "--seed"),
    "checkpoint is a picture": (
        ["a.png", "--checkpoint", "a.png"],
        "a.png is a picture (PNG, 40 x 30), not a checkpoint; give one such as svd_xt.safetensors.",
    ),
    "unknown memory": (["a.png", "--memory", "more"], "--memory"),
    "unknown fit": (["a.png", "--fit", "squeeze"], "--fit"),
    "unknown device": (["a.png", "--device", "gpu"], 'no device "gpu"'),
    "a device without memory": (["a.png", "--device", "meta"], "use cpu, or cuda, mps, xpu"),
    "too wide": (["a.png", "--width", 8200], "--width"),
    "too high": (["a.png", "--height", 8200], "--height"),
    "guidance that is no number": (["a.png", "--min-guidance", "nan"], "--min-guidance"),
    "endless guidance": (["a.png", "--max-guidance", "inf"], "--max-guidance"),
    "noise that is no number": (["a.png", "--noise-aug", "nan"], "--noise-aug"),
    "a very long name": (["a.png", "-o", "x" * 250 + ".mp4"], "is longer than 200 bytes"),
    "a link to nowhere": (["a.png", "-o", "broken"], "broken is there and holds something else"),
    "unknown option": (["a.png", "--colour"], "--colour"),
    "checkpoint missing": (["a.png", "--checkpoint", "no.safetensors"], "no.safetensors"),
    "checkpoint is a pickle": (["a.png", "--checkpoint", "old.ckpt"], "old.ckpt"),
    "checkpoint empty": (["a.png", "--checkpoint", "empty.safetensors"], "empty.safetensors"),
    "unknown format": (
        ["a.png", "-o", "film.avi"],
        "film.avi is not .mp4, .mov, .webm, .webp, .gif, .apng or a folder",
    ),
    "output under a file": (["a.png", "-o", "a.png/film.mp4"], "Nothing can be written to"),
    "output a folder": (["a.png", "-o", "films.mp4"], "films.mp4 is there and holds something else"),
}


@pytest.mark.parametrize("fault", BAD_REQUESTS)
def test_bad_requests(fault, folder, tiny):
    Path("empty.png").touch()
    Path("empty.safetensors").touch()
    Path("old.ckpt").write_bytes(b"PK\x03\x04" + bytes(60))
    Path("half.png").write_bytes(Path("a.png").read_bytes()[:700])
    Path("broken").symlink_to("nowhere")
    Path("films.mp4").mkdir()
    Path("films.mp4/film").touch()
    before = sorted(map(str, Path().rglob("*")))
    (image, *changes), expected = BAD_REQUESTS[fault]
    words = [image, *(() if "-o" in changes else ("-o", "out/film.mp4")), "--checkpoint", tiny, *SMALL, *changes]
    assert expected in refused("generate", *words)
    assert sorted(map(str, Path().rglob("*"))) == before


def test_seed_and_sizes_at_their_ends(folder, tiny):
    picture(folder / "dot.png", 1, 1)
    words = ["--checkpoint", tiny, "--frames", 1, "--decode-chunk", 99, "--seed", 2**64 - 1, "--device", "cpu"]
    assert call("generate", "dot.png", "-o", "film.mp4", "--width", 32, "--height", 32, "--steps", 1, *words)[0] == 0


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGBA", "P", "I;16"])
def test_pictures_of_every_kind(mode, folder, tiny):
    if mode == "I;16":
        Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000).save("b.png")
    else:
        picture(folder / "b.png", mode=mode)
    assert call("generate", "b.png", "-o", "film.mp4", "--checkpoint", tiny, "--frames", 1, *SMALL)[0] == 0


def test_nan_never_reaches_a_file(folder, tiny):
    """A network that blows up fails the run (1, not 2: the input was sound) with a sentence that says where."""
    broken = preset_models("tiny")
    broken.unet.load_state_dict({k: v * 1e25 for k, v in broken.unet.state_dict().items()})
    save(broken, folder / "broken.safetensors", dtype=torch.float32)
    code, out, err = call("generate", "a.png", "-o", "film.mp4", "--checkpoint", "broken.safetensors", *SMALL)
    assert (code, out) == (1, "")
    assert "NaN" in err
    assert "Traceback" not in err
    assert not Path("film.mp4").exists()


def test_sv3d_is_refused(folder):
    from dataclasses import replace

    from svd_nodes.tools.random_checkpoint import random_models

    preset = PRESETS["tiny"]
    unet = replace(preset.unet, projection_class_embeddings_input_dim=32, addition_time_embed_dim=(32,))
    vae = replace(preset.vae, temporal_decoder=False, quant_conv=True)
    save(random_models(unet, vae, preset.clip), folder / "sv3d_u.safetensors")
    assert "sv3d_u" in refused("generate", "a.png", "-o", "film.mp4", "--checkpoint", "sv3d_u.safetensors", *SMALL)


# ---- run


def test_run_prints_where_the_film_is(folder, tiny):
    Path("w.json").write_text(json.dumps(tiny_workflow("quickstart", Path("tiny.safetensors"), Path("a.png"))))
    words = ["--checkpoints", tiny.parent, "--set", "8.frames=2", "--set", "Save Video.filename_prefix=film"]
    code, out, err = call("run", "w.json", "--output", "results", "--device", "cpu", *words)
    assert (code, out.strip()) == (0, "results/film_00001_.mp4"), err
    with av.open("results/film_00001_.mp4") as film:
        assert film.streams.video[0].frames == 2


def test_run_reports_every_fault(folder, tiny):
    prompt = tiny_workflow("quickstart", tiny, Path("no.png"))
    prompt["8"]["inputs"] |= {"frames": 0, "steps": "ten"}
    Path("w.json").write_text(json.dumps(prompt))
    sentences = refused("run", "w.json")
    for expected in ("frames is 0", 'steps is "ten"', 'no picture "no.png"'):
        assert expected in sentences
    assert not Path("output").exists()
    assert "There is no workflow at nothing.json" in refused("run", "nothing.json")
    assert "WORKFLOW" in refused("run")


def test_run_knows_the_packs_own_workflows_by_name(folder, tiny):
    settings = ["LoadImage.image=a.png", f"1.checkpoint={tiny}", "3.width=32", "3.height=24", "8.frames=1", "8.steps=1"]
    words = [word for setting in settings for word in ("--set", setting)]
    code, out, err = call("run", "quickstart", "--device", "cpu", *words)
    assert code == 0, err
    assert out.startswith("output/")
    assert out.endswith("svd_quickstart_00001_.mp4\n")


def test_a_checkpoints_folder_that_is_not_there(folder):
    assert "--checkpoints" in refused("run", "quickstart", "--checkpoints", "nowhere")


CPU_FULL = RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("step", ["decode", "load", "image.fit_image"])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), CPU_FULL])
def test_too_little_memory_fails_with_advice(step, error, folder, tiny, monkeypatch):
    def full(*_, **__):
        raise error

    monkeypatch.setattr(f"svd_nodes.headless.generate.{step}", full)
    code, out, err = call("generate", "a.png", "-o", "film.mp4", "--checkpoint", tiny, *SMALL)
    assert (code, out) == (1, "")
    assert "--decode-chunk" in err
    assert not Path("film.mp4").exists()


def test_a_fresh_install_is_told_what_to_do(folder):
    sentences = refused("run", WORKFLOWS / "image_to_video.json", "--set", "LoadImage.image=a.png")
    for expected in (
        'Node 1 "Load SVD Checkpoint"',
        "svd_xt.safetensors",
        "models/checkpoints",
        "licence",
        "--checkpoints",
    ):
        assert expected in sentences
    assert "licence" in refused("generate", "a.png", "-o", "film.mp4")


def test_an_output_folder_that_cannot_be_written(folder, tiny):
    Path("w.json").write_text(json.dumps(tiny_workflow("quickstart", tiny, Path("a.png"))))
    assert "Nothing can be written to" in refused("run", "w.json", "--output", "a.png/inside")
    assert "leads out of" in refused("run", "w.json", "--set", "SaveVideo.filename_prefix=../film")
    assert sorted(os.listdir()) == ["a.png", "w.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_ends_with_130_and_leaves_nothing(folder, tiny):
    prompt = tiny_workflow("quickstart", tiny, folder / "a.png")
    prompt["8"]["inputs"]["steps"] = 1000
    Path("w.json").write_text(json.dumps(prompt))
    command = [sys.executable, "-m", "svd_nodes.headless", "run", "w.json", "--device", "cpu"]
    running = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # where the tests run may have it ignored
    )
    try:
        until = time.monotonic() + 60
        while not Path("output").exists() and running.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
    # A shell calls both 130; Python takes the second when it was inside an exec(), as some imports are.
    assert running.returncode in (130, -signal.SIGINT), err
    assert out == ""
    assert err.endswith("Stopped.\n")
    assert "Traceback" not in err
    assert list(Path("output").rglob("*.*")) == []


# ---- inspect, convert


def test_inspect(folder, tiny):
    code, out, _ = call("inspect", tiny)
    assert code == 0
    for expected in (
        "Stable Video Diffusion",
        "single file",
        "temporal",
        "hint",
        "UNet",
        "parameters",
        "missing   nothing",
    ):
        assert expected in out
    report = json.loads(call("inspect", tiny, "--json")[1])
    unet = preset_models("tiny").unet
    assert report["parts"]["UNet"]["parameters"] == sum(p.numel() for p in unet.parameters())
    assert report["parts"]["UNet"]["tensors"] == len(unet.state_dict())
    assert (report["frames_hint"], report["missing"]) == (4, [])


def test_inspect_says_what_is_missing(folder, tiny):
    weights = load_file(tiny)
    del weights["model.diffusion_model.time_embed.0.bias"]
    save_file(weights, "lacking.safetensors", metadata=_metadata(tiny))
    code, out, err = call("inspect", "lacking.safetensors")
    assert code == 2
    assert "time_embed.0.bias" in out, err
    Path("w.safetensors").write_bytes(b"x" * 100)
    for path in ("w.safetensors", "no.safetensors", "."):
        assert "Traceback" not in refused("inspect", path)


def test_one_of_several_variants(folder):
    """Named by both commands, and chosen with --variant."""
    models = preset_models("tiny")
    save(models, folder / "tiny", "diffusers", variant="fp16")
    weights = folder / "tiny/unet/diffusion_pytorch_model.fp16.safetensors"
    changed = {name: 2 * tensor for name, tensor in load_file(weights).items()}
    save_file(changed, weights.with_name("diffusion_pytorch_model.ema.safetensors"))
    for words in (["inspect", "tiny"], ["convert", "tiny", "a.safetensors", "--layout", "single"]):
        assert "'ema', 'fp16' and no plain files; choose one, with --variant ema" in refused(*words)
    assert "missing   nothing" in call("inspect", "tiny", "--variant", "ema")[1]
    for variant, factor in (("ema", 2), ("fp16", 1)):
        name = f"{variant}.safetensors"
        assert call("convert", "tiny", name, "--layout", "single", "--variant", variant)[:2] == (0, f"{name}\n")
        assert torch.equal(load(name).unet.out[2].bias, factor * models.unet.out[2].bias)
    assert "no variant 'bf16'" in refused("inspect", "tiny", "--variant", "bf16")
    assert "no variants" in refused("inspect", "ema.safetensors", "--variant", "fp16")


def test_names_behind_a_wrapper_are_said(folder, tiny):
    wrapped = {f"module.{name}": tensor for name, tensor in load_file(tiny).items()}
    save_file(wrapped, "wrapped.safetensors", metadata=_metadata(tiny))
    code, out, _ = call("inspect", "wrapped.safetensors")
    assert code == 0
    assert "names     behind 'module.', which is passed over" in out


def test_too_little_memory_to_convert(folder, tiny, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("svd_nodes.headless.checkpoints.load", full)
    code, out, err = call("convert", tiny, "half.safetensors", "--layout", "single")
    assert (code, out) == (1, "")
    assert "not enough memory to hold this checkpoint" in err
    assert os.listdir() == ["a.png"]


def test_what_is_no_checkpoint_is_named_for_what_it_is(folder):
    shutil.copy("a.png", "a.safetensors")
    Path("w.json").write_text("{}")
    Path("b.dds").write_bytes(b"DDS |\0\0\0" + b"\xff" * 200)  # Pillow raises what it does not list
    Path("c.avif").write_bytes(b"\0\0\0\x1cftypavif" + b"\xff" * 200)
    for name in ("b.dds", "c.avif"):
        assert "not a safetensors file" in refused("inspect", name)
    for command in (["inspect"], ["convert", "new", "--layout", "diffusers"]):
        for name, what in (("a.png", "a picture (PNG, "), ("a.safetensors", "a picture ("), ("w.json", "a workflow ")):
            assert f"{name} is {what}" in refused(command[0], name, *command[1:])


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX")
def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo("pipe")
    assert "pipe is no file and no folder" in refused("inspect", "pipe")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's pipes")
def test_a_reader_who_has_enough_is_no_failure_to_speak_of(folder, tiny):
    command = [sys.executable, "-m", "svd_nodes.headless", "inspect", str(tiny), "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait(timeout=60) == 1


def test_inspect_does_without_the_packages_that_take_seconds_to_import(tiny):
    program = "import sys; from pathlib import Path; from svd_nodes.headless.checkpoints import inspect; "
    program += "inspect(Path(sys.argv[1])); print([name for name in ('transformers', 'diffusers', 'av') "
    program += "if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program, tiny], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.metadata()


def test_checkpoints_are_named_alike_by_every_command(folder, tiny):
    """A path, or else a name in a folder."""
    Path("models/checkpoints").mkdir(parents=True)
    shutil.copy(tiny, "models/checkpoints/named.safetensors")
    assert "named.safetensors" not in os.listdir()
    assert call("inspect", "named.safetensors")[0] == 0
    assert call("inspect", tiny.name, "--checkpoints", tiny.parent)[0] == 0
    assert call("convert", "named.safetensors", "half", "--layout", "diffusers", "--precision", "fp16")[0] == 0
    words = ["--frames", 1, *SMALL]
    assert call("generate", "a.png", "-o", "film.mp4", "--checkpoint", "named.safetensors", *words)[0] == 0
    Path("named.safetensors").write_bytes(b"a path comes first")
    for command in (["inspect"], ["convert", "x", "--layout", "single"], ["generate", "a.png", "-o", "b.mp4"]):
        name = ["--checkpoint", "named.safetensors"] if command[0] == "generate" else ["named.safetensors"]
        assert "named.safetensors" in refused(command[0], *name, *command[1:])
    assert "licence" in refused("inspect", "svd_xt.safetensors")


def test_convert_there_and_back(folder, tiny):
    assert call("convert", tiny, "folder", "--layout", "diffusers")[:2] == (0, "folder\n")
    assert Path("folder/model_index.json").exists()
    assert call("convert", "folder", "back.safetensors", "--layout", "single")[0] == 0
    first, second = load(tiny), load("back.safetensors")
    for name in ("unet", "vae", "clip"):
        ours, theirs = getattr(first, name).state_dict(), getattr(second, name).state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert open_checkpoint("back.safetensors").unet.dtype == open_checkpoint(tiny).unet.dtype


def test_what_diffusers_has_no_room_for_can_be_a_single_file(folder):
    from dataclasses import replace

    from svd_nodes.tools.random_checkpoint import random_models

    preset = PRESETS["tiny"]
    save(random_models(preset.unet, replace(preset.vae, decoder_mid_layers=2), preset.clip), folder / "a.safetensors")
    assert "(--layout single)" in refused("convert", "a.safetensors", "b", "--layout", "diffusers")
    assert call("convert", "a.safetensors", "b.safetensors", "--layout", "single", "--precision", "fp16")[0] == 0


def test_convert_to_half(folder, tiny):
    assert call("convert", tiny, "half.safetensors", "--layout", "single", "--precision", "fp16")[0] == 0
    assert json.loads(call("inspect", "half.safetensors", "--json")[1])["parts"]["UNet"]["precision"] == "fp16"
    assert "--overwrite" in refused("convert", tiny, "half.safetensors", "--layout", "single")
    assert call("convert", tiny, "half.safetensors", "--layout", "single", "--overwrite")[0] == 0
    for words in (["no.safetensors", "b.safetensors", "--layout", "single"], [tiny, "c.bin", "--layout", "single"]):
        refused("convert", *words)
    assert sorted(os.listdir()) == ["a.png", "half.safetensors"]


def test_convert_writes_the_layout_that_the_name_says(folder, tiny):
    assert call("convert", tiny, "d.safetensors")[0] == 0
    assert call("convert", "d.safetensors", "d")[0] == 0
    layouts = {name: json.loads(call("inspect", name, "--json")[1])["layout"] for name in ("d", "d.safetensors")}
    assert layouts == {"d": "diffusers folder", "d.safetensors": "single file"}


def test_a_full_disk_is_no_bad_input(folder, tiny, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("svd_nodes.headless.checkpoints.save", full)
    code, out, err = call("convert", tiny, "half.safetensors", "--layout", "single")
    assert (code, out) == (1, "")
    assert "the disk is full" in err


# ---- the program


def test_help_needs_no_torch():
    program = "import sys, svd_nodes.headless.cli; print(any(name in sys.modules for name in ('torch', 'av', 'PIL')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    code, out, _ = call("--help")
    assert code == 0
    assert all(command in out for command in ("run", "generate", "inspect", "convert", "doctor", "queue"))


def test_version(monkeypatch, tmp_path):
    """What pyproject.toml states, installed or not; a wheel has its metadata alone."""
    import tomllib
    from importlib import metadata

    from svd_nodes.headless import version

    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1 of an old installation")
    own = tomllib.loads(version.PROJECT.read_text())["project"]["version"]
    assert call("--version")[:2] == (0, f"svd-nodes {own}\n")
    monkeypatch.setattr(version, "PROJECT", tmp_path / "pyproject.toml")
    assert call("--version")[:2] == (0, "svd-nodes 0.0.1 of an old installation\n")


def test_help_says_what_the_nodes_say():
    from svd_nodes.headless import cli
    from svd_nodes.nodes import NODES

    def options(command):
        hints = get_type_hints(command, include_extras=True)
        return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}

    told = options(cli.generate)
    inputs = {i.id: i for node in NODES for i in node.GET_SCHEMA().inputs}
    assert told["precision"].help == inputs["precision"].tooltip
    assert list(cli.Schedule) == inputs["schedule"].widget["options"]
    assert list(cli.Precision) == inputs["precision"].widget["options"]
    assert list(cli.Memory) == inputs["memory"].widget["options"]
    for ours, theirs in {"steps": "steps", "motion_bucket": "motion_bucket_id", "frames": "frames"}.items():
        widget = inputs[theirs].widget
        assert (told[ours].min, told[ours].max) == (widget["min"], widget["max"])


@pytest.mark.slow
def test_the_pages_python_runs_as_it_stands(folder):
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text()
    (lines,) = (block for block in page.split("```python\n")[1:] if "svd_nano.safetensors" in block)
    lines = lines.partition("```")[0]
    assert '"num_inference_steps": 12' in lines
    subprocess.run([sys.executable, "-c", lines.replace('steps": 12', 'steps": 1')], check=True)
    with Image.open("clip.webp") as clip:
        assert (clip.n_frames, clip.size) == (14, (256, 256))


def test_run_as_a_module_ends_with_2_and_one_line(folder):
    command = [sys.executable, "-m", "svd_nodes.headless", "run", "no.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip().splitlines() == [
        "bad input  There is no workflow at no.json; check the path, or see `svd-nodes workflows`."
    ]


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch):
    import sys

    from svd_nodes.headless.__main__ import main as start

    monkeypatch.delitem(sys.modules, "svd_nodes.headless.cli", raising=False)
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit, match=r"needs the package 'typer'.*svd-nodes\[standalone\]"):
        start()


def test_a_contact_sheet_shows_frames_of_every_clip(folder):
    for name, count in (("a.mp4", 9), ("b.mp4", 2)):
        grey = torch.linspace(0, 1, count)[:, None, None, None].expand(-1, 16, 24, 3)
        write_film(folder / name, grey, Fraction(7), {})
    code, out, err = call("sheet", "a.mp4", "b.mp4", "-o", "sheet.png", "--columns", 3)
    assert (code, out.strip()) == (0, "sheet.png"), err
    sheet = np.asarray(Image.open("sheet.png").convert("L"))
    assert sheet.shape == (16 + 4 + 16, 3 * 24 + 2 * 4)
    first, middle, last = (int(sheet[8, x]) for x in (12, 40, 68))
    assert first < 5
    assert abs(middle - 128) < 8
    assert last > 250
    assert sheet[30, 70] == 255, "a short clip leaves the end of its row white"


@pytest.mark.parametrize(
    ("clip", "output", "sentence"),
    [
        ("missing.mp4", "sheet.png", "no clip at"),
        ("text.mp4", "sheet.png", "cannot be read as a clip"),
        ("text.webp", "sheet.png", "cannot be read as a clip"),
        ("text.gif", None, "cannot be read as a clip"),
        ("half.mp4", None, "cannot be read as a clip"),
        ("half.webp", None, "cannot be read as a clip"),
        ("noise.mp4", None, "cannot be read as a clip"),
        ("noise.webp", None, "cannot be read as a clip"),
        ("sound.mp4", None, "cannot be read as a clip"),
        ("empty.mp4", None, "cannot be read as a clip"),
        ("films.mp4", None, "films.mp4 is a folder: give the clips in it."),
        ("", None, ". is a folder: give the clips in it."),
        ("text.mp4", "sheet.jpg", "is not a .png"),
        ("whole.mp4", "x" * 250 + ".png", "is longer than 200 bytes"),
        ("a.png", "a.png", "a.png is one of the clips, or a frame of one; choose another name."),
        ("whole.mp4", "a.png/sheet.png", "Nothing can be written to"),
    ],
)
def test_what_is_no_clip_gets_a_sentence(folder, clip, output, sentence):
    for name in ("text.mp4", "text.webp", "text.gif"):
        (folder / name).write_text("not a film")
    grey = torch.rand(9, 64, 64, 3)
    write_film(folder / "whole.mp4", grey, Fraction(7), {})
    write_film(folder / "whole.webp", grey, 7, {}, lossless=True, quality=50)
    for name in ("mp4", "webp"):
        data = Path(f"whole.{name}").read_bytes()
        Path(f"half.{name}").write_bytes(data[: len(data) // 2])
        Path(f"noise.{name}").write_bytes(data[:200] + bytes(reversed(data[200:])))
    with av.open("sound.mp4", "w") as film:
        stream = film.add_stream("aac", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        film.mux([*stream.encode(silence), *stream.encode(None)])
    Path("films.mp4").mkdir()
    Path("empty.mp4").touch()
    before = sorted(os.listdir())
    words = ["-o", output] if output else []
    assert sentence in refused("sheet", clip, *words)
    assert sorted(os.listdir()) == before


def test_a_sheet_without_a_name_lies_beside_its_clip_and_replaces_nothing(folder):
    Path("clips").mkdir()
    write_film(folder / "clips" / "a.mp4", torch.rand(2, 16, 16, 3), Fraction(7), {})
    Path("clips/a_sheet.png").write_text("mine")
    assert "clips/a_sheet.png exists already; choose another name, or replace it with --overwrite." in refused(
        "sheet", "clips/a.mp4"
    )
    assert Path("clips/a_sheet.png").read_text() == "mine"
    assert call("sheet", "clips/a.mp4", "--overwrite")[:2] == (0, "clips/a_sheet.png\n")
    assert call("sheet", "clips/a.mp4", "-o", "new/b.png")[:2] == (0, "new/b.png\n")
    assert sorted(os.listdir("clips")) == ["a.mp4", "a_sheet.png"]
