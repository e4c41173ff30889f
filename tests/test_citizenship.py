"""The pack as a guest: what importing it costs, and that it leaves nothing of its host's changed."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tiny_files import ROOT, checkpoint, picture

from svd_nodes.bench import citizenship
from svd_nodes.headless.checkpoints import inspect
from svd_nodes.headless.request import find

LOOK = """
import gc, logging, os, signal, socket, sys, threading, warnings
import torch
from PIL import Image

def look():
    backends = torch.backends
    return {
        "dtype": torch.get_default_dtype(), "device": str(torch.get_default_device()), "grad": torch.is_grad_enabled(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(), "random": torch.get_rng_state().tolist(),
        "cudnn": (backends.cudnn.enabled, backends.cudnn.benchmark, backends.cudnn.allow_tf32),
        "attention": (backends.cuda.flash_sdp_enabled(), backends.cuda.mem_efficient_sdp_enabled()),
        "path": list(sys.path), "environment": dict(os.environ), "hook": sys.excepthook,
        "recursion": sys.getrecursionlimit(),
        "warnings": [str(f) for f in warnings.filters if "PIL" not in str(f)], "level": logging.root.level,
        "handlers": list(logging.root.handlers), "signal": signal.getsignal(signal.SIGINT), "folder": os.getcwd(),
        "pixels": Image.MAX_IMAGE_PIXELS, "timeout": socket.getdefaulttimeout(), "gc": gc.isenabled(),
        "started": threading.active_count(),
    }
"""


def python(*lines: str, cwd: Path = ROOT) -> list[str]:
    """What a fresh Python prints."""
    code = LOOK + "\n".join(map(textwrap.dedent, lines))
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_importing_the_nodes_brings_in_nothing_heavy():
    _, heavy = citizenship.imported()
    assert heavy == set()


def test_inspect_needs_no_transformers(tmp_path):
    checkpoint(tmp_path)
    told = python(
        "from svd_nodes.headless.checkpoints import inspect",
        "from svd_nodes.headless.request import find",
        "from pathlib import Path",
        "inspect(find('tiny.safetensors', [Path()]))",
        "print('transformers' in sys.modules)",
        cwd=tmp_path,
    )
    assert told[0] == "False"
    assert not inspect(find("tiny.safetensors", [tmp_path])).missing


@pytest.mark.parametrize("what", ["import svd_nodes.nodes", "run()"], ids=["imported", "run"])
def test_nothing_global_is_touched(what, tmp_path):
    checkpoint(tmp_path)
    picture(tmp_path / "a.png")
    told = python(
        """
        from pathlib import Path
        import svd_nodes, transformers  # what the host has imported before it looks at any pack
        from transformers import CLIPVisionModelWithProjection

        def run():
            from svd_nodes.nodes import NODES
            from svd_nodes.nodes.host import standalone
            node = {node.GET_SCHEMA().node_id.removeprefix("StableVideo"): node for node in NODES}
            with standalone.Session((Path(),), torch.device("cpu")).active(), torch.inference_mode():
                model, clip, vae = node["LoadCheckpoint"].execute("tiny.safetensors", "auto").args
                (image,) = node["FitImage"].execute(torch.ones(1, 50, 60, 3), 64, 48, "crop").args
                (embedding,) = node["EncodeClip"].execute(clip, image).args
                (latent,) = node["EncodeLatent"].execute(vae, image, 0.02, 1).args
                (told,) = node["Condition"].execute(embedding, latent, 7, 127).args
                (latent,) = node["Sample"].execute(model, told, 3, 2, 1.0, 3.0, "linear", 1).args
                assert node["Decode"].execute(vae, latent, 14).args[0].shape == (3, 48, 64, 3)
        """,
        "before = look()",
        what,
        "after = look()",
        "print([name for name in before if before[name] != after[name]])",
        cwd=tmp_path,
    )
    assert told[0] == "[]"
