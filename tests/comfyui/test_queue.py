"""`svd-nodes queue`, and the lines of docs/queue.md, against the real editor's server."""

import os
import subprocess
import sys

import pytest
from comfyui.server import running_server
from test_queue import page_lines
from tiny_files import checkpoint, picture

from svd_nodes.bench import queue as bench

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


@pytest.mark.parametrize("disturbed", [False, True], ids=["undisturbed", "clients and server killed"])
def test_every_clip_is_made_once_and_comes_home(checkout, disturbed, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    outcome = bench.trial(checkout, tmp_path / "base", tmp_path / "work", clients=3, seeds=3, disturbed=disturbed)
    assert (outcome.asked, outcome.home, outcome.right, outcome.made, outcome.doubled) == (18, 18, 18, 18, 0)


def test_the_pages_lines_run_in_the_real_server(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        picture(tmp_path / name, 64, 64)
    with running_server(checkout, tmp_path / "base") as server:
        checkpoint(tmp_path / "base" / "models" / "checkpoints", "svd_nano.safetensors")
        lines = page_lines(f"http://127.0.0.1:{server.port}").replace("range(1, 9)", "range(1, 2)")
        subprocess.run([sys.executable, "-I", "-c", lines], check=True, timeout=600)
    assert {"a_seed1.mp4", "b_seed1.mp4"} < set(os.listdir())
