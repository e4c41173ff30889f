"""Waiting threads sleep in processes of our own, and nobody else's are touched."""

import os
import subprocess
import sys

import pytest
from tiny_files import ROOT

from svd_nodes.headless import threads


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "odd\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_a_container_has_no_more_threads_than_it_may_use(files, quota, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(threads, "_processors", lambda: 8)
    told = {}
    threads.settle(told, tmp_path)
    assert told.pop("OMP_NUM_THREADS", None) == (None if quota is None else str(quota))
    assert told == {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def test_a_quota_above_the_processors_is_none(tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text("1600000 100000")
    monkeypatch.setattr(threads, "_processors", lambda: 8)
    told = {}
    threads.settle(told, tmp_path)
    assert "OMP_NUM_THREADS" not in told


def test_what_the_user_has_set_stays(tmp_path):
    told = {"OMP_WAIT_POLICY": "ACTIVE", "OMP_NUM_THREADS": "7", "KMP_BLOCKTIME": "200"}
    (tmp_path / "cpu.max").write_text("100000 100000")
    before = dict(told)
    threads.settle(told, tmp_path)
    assert told == before


def test_the_command_says_so_before_torch_is_there():
    """OpenMP reads its environment once, when it is loaded."""
    lines = """
import os, sys
from svd_nodes.headless import __main__ as command
settle = command.settle
def first():
    print("torch" in sys.modules)
    settle()
command.settle = first
sys.argv = ["svd-nodes", "--help"]
try:
    command.main()
except SystemExit:
    pass
print(os.environ["OMP_WAIT_POLICY"])
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "KMP_"))}
    done = subprocess.run([sys.executable, "-c", lines], env=environment, capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert (words[0], words[-1]) == ("False", "PASSIVE")


def test_nothing_of_it_is_in_what_an_editor_imports():
    for place in ("__init__.py", "nodes", "svd"):
        paths = [ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py")
        assert not [path for path in paths if "OMP_" in path.read_text() or "headless" in path.read_text()]
