"""`svd-nodes doctor`: what it finds, and that whatever is broken takes a line and nothing else."""

import json
import os
import platform
import subprocess
import sys
import tomllib

import pytest
import torch
from safetensors.torch import save_file
from tiny_files import ROOT, checkpoint
from typer.testing import CliRunner

from svd_nodes.headless import doctor, tested
from svd_nodes.headless.cli import app
from svd_nodes.nodes.host.folders import PACK_CHECKPOINTS
from svd_nodes.svd.kernels import choice

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NANO = str(PACK_CHECKPOINTS / "svd_nano.safetensors")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to stand in, which is home too, and no editor."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    return tmp_path


@pytest.fixture
def one_card(monkeypatch):
    """torch as it is with one card, an H100."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda card: "NVIDIA H100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda card: (9, 0))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda card: (70 * 2**30, 80 * 2**30))
    answers = choice.builds_kernels, choice.is_hopper
    for answer in answers:
        answer.cache_clear()
    yield
    for answer in answers:  # of a card that is not there
        answer.cache_clear()


def editor(folder, version):
    (folder / "custom_nodes").mkdir(parents=True)
    (folder / "comfyui_version.py").write_text(f'# made by a tool\n__version__ = "{version}"\n')
    return folder


def run(*words):
    result = CliRunner().invoke(app, ["doctor", *map(str, words)])
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def test_it_prints_what_is_installed_and_found():
    report = json.loads(run("--json"))
    assert list(report) == ["versions", "devices", "kernels", "checkpoints", "editor"]
    assert report["versions"]["svd-nodes"] == f"{PROJECT['project']['version']}, in {doctor.PACK}"
    assert torch.__version__.startswith(report["versions"]["torch"])  # older wheels do not tell "+cu124"
    assert set(doctor.PACKAGES) < set(report["versions"])
    assert "cores" in report["devices"]["cpu"]
    assert report["checkpoints"][NANO].startswith("Stable Video Diffusion, single file, fp16")


def test_the_text_says_the_same():
    report, text = doctor.examine(), run()
    for section, found in report.items():
        assert f"{section}\n" in text
        assert all(key in text and value in text for key, value in found.items())


def test_it_imports_nothing_that_takes_long():
    program = (
        "import sys; from svd_nodes.headless.doctor import examine; examine(); "
        "print(sorted({'transformers', 'diffusers', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_checkpoints_are_named_with_what_they_are_or_why_not(folder):
    mine = folder / "mine"
    mine.mkdir()
    checkpoint(mine)
    save_file({"lora_unet_mid.lora_up.weight": torch.ones(1)}, mine / "lora.safetensors")
    (mine / "damaged.safetensors").write_bytes(b"no header")
    (folder / "models" / "checkpoints").mkdir(parents=True)
    found = json.loads(run("--json", "--checkpoints", mine))["checkpoints"]
    assert found[str(mine / "tiny.safetensors")].startswith("Stable Video Diffusion")
    assert "a LoRA" in found[str(mine / "lora.safetensors")]
    assert found[str(mine / "damaged.safetensors")].startswith("cannot be used")
    assert found["models/checkpoints"] == "no checkpoint in it"
    assert found[str(folder / "comfy" / "ComfyUI" / "models" / "checkpoints")] == "no such folder"


def test_a_card_and_its_kernels(one_card, monkeypatch):
    monkeypatch.setattr(choice, "obstacle", lambda card: None)
    assert doctor.devices()["cuda:0"] == "NVIDIA H100, compute capability 9.0, 70.0 GiB free of 80.0 GiB"
    assert doctor.kernels() == {"cuda:0": "they are built, and those for Hopper are tried at their first use"}


def test_why_there_are_no_kernels(one_card, monkeypatch):
    def fail(*_):
        raise RuntimeError("Failed to find\nC compiler")

    monkeypatch.setattr("svd_nodes.svd.kernels.gpu.mix.mix", fail)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: torch.zeros(1, 64))
    assert "Failed to find C compiler" in doctor.kernels()["cuda:0"]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda card: (7, 5))
    assert "7.5" in doctor.kernels()["cuda:0"]
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    assert "Triton is not installed" in doctor.kernels()["cuda:0"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert "torch sees none" in doctor.kernels()["cpu"]


def test_what_fails_takes_its_own_line(one_card, monkeypatch):
    def fail(*_):
        raise RuntimeError("driver\ntoo old")

    monkeypatch.setattr(torch.cuda, "mem_get_info", fail)
    report = doctor.examine()
    assert report["devices"]["cuda:0"] == "not found out (RuntimeError: driver too old)"
    assert "cores" in report["devices"]["cpu"]

    monkeypatch.setattr(torch.cuda, "device_count", fail)
    monkeypatch.setattr(doctor, "version", fail)
    monkeypatch.setattr("svd_nodes.nodes.host.standalone.checkpoint_names", fail)
    report = json.loads(run("--json"))
    assert report["devices"] == report["kernels"] == {"all": "not found out (RuntimeError: driver too old)"}
    assert report["versions"]["svd-nodes"].startswith("not found out")
    assert torch.__version__.startswith(report["versions"]["torch"])  # older wheels do not tell "+cu124"
    assert report["checkpoints"] == {"all": "not found out (RuntimeError: driver too old)"}
    assert "driver too old" in run()


@pytest.mark.parametrize(
    ("version", "said"),
    [
        *((version, "tested with this pack") for version in tested.TESTED),
        ("0.3.63", "older than 0.3.64"),
        ("0.10.0", "older and newer ones are"),
        ("0.34.1", "newer than 0.33.0"),
        ("nightly", "no version that can be compared"),
    ],
)
def test_the_editor_is_compared_with_those_tested(version, said, folder, monkeypatch):
    assert any(line.startswith("no ComfyUI in it") for line in doctor.editor().values())
    monkeypatch.setenv("COMFYUI_PATH", str(editor(folder / "here", version)))
    found = doctor.editor()[str(folder / "here")]
    assert found.startswith(f"ComfyUI {version} ($COMFYUI_PATH): ")
    assert said in found


def test_each_of_several_editors_has_its_line(folder, monkeypatch):
    """One that cannot be looked at hides no other."""
    places = [editor(folder / "old", "0.3.64"), folder / ("x" * 300), editor(folder / "new", "0.33.0")]
    monkeypatch.setenv("COMFYUI_PATH", os.pathsep.join(map(str, places)))
    told, old, odd, new = doctor.editor().values()
    assert told == "ComfyUI 0.3.64, ComfyUI 0.33.0"
    assert old.startswith("ComfyUI 0.3.64 ")
    assert odd.startswith(("not found out", "no ComfyUI in it"))
    assert new.startswith("ComfyUI 0.33.0 ")


@pytest.mark.parametrize("package", ["torch", "numpy", "safetensors", "einops"])
def test_a_broken_installation_gets_its_report(package, folder):
    """It is what the report is for."""
    (folder / f"{package}.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "svd_nodes.headless", "doctor"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "tested with" in done.stdout
    assert platform.python_version() in done.stdout
    if package == "torch":
        assert "libcudart.so.12" in done.stdout


@pytest.mark.slow
def test_names_that_a_terminal_cannot_show_end_nothing(folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "ü☃.safetensors").write_bytes(b"")
    open(os.fsencode(folder / "mine") + b"/\xff.safetensors", "wb").close()
    for encoding in ("cp1252", "utf-8", "ascii"):
        command = [sys.executable, "-m", "svd_nodes.headless", "doctor", "--checkpoints", "mine"]
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, env=environment, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b".safetensors" in done.stdout


def test_the_editor_is_found_where_comfy_cli_puts_it(folder, monkeypatch):
    """And the pack in it, linked or copied."""
    monkeypatch.setattr(sys, "platform", "linux")
    here = editor(folder / "comfy" / "ComfyUI", "0.33.0")
    assert doctor.editor()[str(here)].endswith("the pack: not in its custom_nodes")
    (here / "custom_nodes" / "svd").symlink_to(ROOT)
    (here / "custom_nodes" / "other").mkdir()
    (here / "custom_nodes" / "other" / "pyproject.toml").write_bytes(b"\xff")
    (here / "custom_nodes" / "svd.disabled").symlink_to(ROOT)
    (here / "custom_nodes" / "folder" / "pyproject.toml").mkdir(parents=True)
    assert doctor.editor()[str(here)].endswith(f"the pack: {here / 'custom_nodes' / 'svd'}")
    (here / "comfyui_version.py").write_bytes(b"\xff")
    assert doctor.editor()[str(here)].startswith("not found out (UnicodeDecodeError")


def test_the_versions_tested_are_those_told():
    """In README, and the oldest to the registry."""
    readme = (ROOT / "README.md").read_text()
    assert f"Tested with ComfyUI {' and '.join(tested.TESTED)}" in readme
    assert PROJECT["tool"]["comfy"]["requires-comfyui"] == f">={tested.TESTED[0]}"
