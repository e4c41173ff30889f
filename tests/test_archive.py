"""The archive that the registry ships: what `.comfyignore` leaves out is what no user of the editor needs."""

import subprocess
from pathlib import PurePosixPath

import pathspec
import pytest
from tiny_files import ROOT

NEEDED = {"__init__.py", "LICENSE", "README.md", "pyproject.toml", "py.typed"}
ROOMS = {"assets", "headless", "locales", "nodes", "subgraphs", "svd", "web", "workflows"}


def test_the_archive_holds_every_file_that_the_pack_uses():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git, or no clone: the archive is made of what git knows")
    files = listed.stdout.strip("\0").split("\0")
    left_out = set(
        pathspec.GitIgnoreSpec.from_lines((ROOT / ".comfyignore").read_text().splitlines()).match_files(files)
    )
    used = {name for name in files if name in NEEDED or PurePosixPath(name).parts[0] in ROOMS}
    assert used & left_out == set()
    assert {"tests/conftest.py", "bench/quality.py", "docs/svd_nano.jpg", "Makefile"} <= left_out
