"""What `comfy node validate` says of the pack, and what `comfy node pack` puts into the archive for the registry."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from repository import copy_of_the_repository, repository_files, shipped_files
from tiny_files import ROOT

from svd_nodes.nodes import NODES

COMFY = Path(sys.executable).with_name("comfy")
LEFT_OUT = {".ci", ".github", "bench", "docs", "tests", "training", "Makefile", "CONTRIBUTING.md", "constraints.txt"}


def comfy(folder: Path, *words: str) -> str:
    """What `comfy WORDS` says in a folder, with a home of its own. It must end well."""
    environment = os.environ | {"HOME": str(folder.parent), "NO_COLOR": "1"}
    command = [str(COMFY), "--skip-prompt", "--no-enable-telemetry", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def pack(folder: Path) -> Path:
    """The archive that `comfy node pack` makes."""
    if not COMFY.exists():
        pytest.skip("comfy-cli is not installed beside this Python: the dev extra has it")
    clone = copy_of_the_repository(folder / "svd-nodes")
    comfy(clone, "node", "pack")
    return clone / "node.zip"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("archive"))


def test_validation_finds_nothing(archive):
    told = comfy(archive.parent, "node", "validate")
    assert "All validation checks passed successfully" in told
    assert "warning" not in told.lower()


def test_the_registry_is_told_of_licence_and_systems(tmp_path):
    """As much as the table that its documentation shows would tell it."""
    parser, api = pytest.importorskip("comfy_cli.registry.config_parser"), pytest.importorskip("comfy_cli.registry.api")
    ours = parser.extract_node_configuration(str(ROOT / "pyproject.toml"))
    (tmp_path / "pyproject.toml").write_text('[project]\nlicense = { text = "MIT" }\n')
    table = parser.extract_node_configuration(str(tmp_path / "pyproject.toml"))
    assert api.serialize_license(ours.project.license) == api.serialize_license(table.project.license)
    assert ours.project.supported_os == ["OS Independent"]
    assert ours.project.supported_accelerators == ["GPU :: NVIDIA CUDA"]
    assert ours.project.supported_comfyui_version == ">=0.3.64"
    pictures = (ours.tool_comfy.icon, ours.tool_comfy.banner_url)
    assert all(address == "" or address.startswith("https://") for address in pictures)


def test_the_archive_holds_what_the_editor_needs(archive):
    names = set(zipfile.ZipFile(archive).namelist())
    assert {"__init__.py", "pyproject.toml", "LICENSE", "README.md"} <= names
    assert "assets/checkpoints/svd_nano.safetensors" in names
    assert {f"web/docs/{node.GET_SCHEMA().node_id}.md" for node in NODES} <= names
    assert shipped_files() <= names


def test_the_archive_holds_nothing_else(archive):
    with zipfile.ZipFile(archive) as content:
        assert {name.split("/")[0] for name in content.namelist()} & LEFT_OUT == set()
        assert set(content.namelist()) <= set(repository_files())
    assert archive.stat().st_size < 64 * 2**20
