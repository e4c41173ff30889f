"""The wheel that `pip install` builds of a clone: what is in it, and that it works where there is no clone."""

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from repository import copy_of_the_repository, shipped_files
from tiny_files import ROOT, picture

from svd_nodes.nodes import NODES

pytestmark = pytest.mark.slow

LISTED = """
import asyncio, json, svd_nodes
listed = asyncio.run(asyncio.run(svd_nodes.comfy_entrypoint()).get_node_list())
print(json.dumps([svd_nodes.__file__, [node.GET_SCHEMA().node_id for node in listed]]))
"""


def pip(*words: object) -> str:
    """What pip says; it takes nothing from an index."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel, and what its build said."""
    folder = tmp_path_factory.mktemp("wheel")
    clone = copy_of_the_repository(folder / "clone")
    said = pip("wheel", "--verbose", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, clone)
    return next(folder.glob("*.whl")), said


@pytest.fixture(scope="module")
def site(built, tmp_path_factory):
    """A folder with the wheel installed in it."""
    folder = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--no-index", "--no-compile", "--target", folder, built[0])
    return folder


def outside(site: Path, *command: object) -> str:
    """What a command prints that sees the installed wheel, and of the clone nothing."""
    empty = site.with_name(f"{site.name}-empty")
    empty.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(site), "HOME": str(empty)}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_build_warns_of_nothing(built):
    assert "Warning" not in built[1], built[1]


def test_the_wheel_holds_the_whole_pack(built):
    held = set(zipfile.ZipFile(built[0]).namelist())
    wanted = {f"svd_nodes/{name}" for name in shipped_files() | {"__init__.py", "py.typed"}}
    assert wanted - held == set()


def test_the_wheel_holds_nothing_else(built):
    """Beside the pack: what makes random checkpoints and the bundled picture, and its own metadata."""
    wanted = {f"svd_nodes/{name}" for name in shipped_files() | {"__init__.py", "py.typed"}}
    rest = {name for name in set(zipfile.ZipFile(built[0]).namelist()) - wanted if ".dist-info/" not in name}
    assert {str(Path(name).parent) for name in rest} == {"svd_nodes/tools"}


def test_the_nodes_are_listed(site):
    file, nodes = json.loads(outside(site, "-c", LISTED))
    assert Path(file) == site / "svd_nodes" / "__init__.py"
    assert nodes == [node.GET_SCHEMA().node_id for node in NODES]
    assert len(nodes) == 8


def test_the_bundled_checkpoint_is_found_and_makes_a_clip(site, tmp_path):
    command = site / "bin" / "svd-nodes"
    report = json.loads(outside(site, command, "inspect", "svd_nano.safetensors", "--json"))
    assert Path(report["path"]).is_relative_to(site)
    assert report["missing"] == []

    small = ["--checkpoint", "svd_nano.safetensors", "--width", 32, "--height", 32, "--frames", 2, "--steps", 1]
    outside(site, command, "generate", picture(tmp_path / "a.png"), "-o", tmp_path / "a.mp4", *small, "--device", "cpu")
    assert (tmp_path / "a.mp4").stat().st_size > 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert outside(site, command, "--version") == f"svd-nodes {version}\n"
