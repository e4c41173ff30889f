"""How the pack behaves in a real server: time to import, time to cancel in each node, memory after many runs.

python -m svd_nodes.bench.citizenship [--runs 20]    (in the first ComfyUI that tests/comfyui finds; CPU)
Prints a table in Markdown. svd-nano is given work that is much too large for a CPU, so that every span is long.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import websocket
from PIL import Image

from ..svd.saving import save
from ..tests.comfyui.server import REPOSITORY, Server, checkouts, running_server
from ..tools.random_checkpoint import preset_models

INSIDE = 0.5  # seconds after a node has begun that cancel is pressed
MOMENTS = (0.2, INSIDE, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0)  # the same, where the longest wait is looked for
NANO = REPOSITORY / "assets" / "checkpoints" / "svd_nano.safetensors"
NODES = ("StableVideoEncodeClip", "StableVideoEncodeLatent", "StableVideoSample", "StableVideoDecode")
SIZES = {  # of the work in which a node is cancelled: width, height, pictures, frames
    "StableVideoEncodeClip": (64, 64, 4096, 1),
    "StableVideoEncodeLatent": (1024, 576, 4, 1),
    "StableVideoSample": (1024, 576, 1, 14),
    "StableVideoDecode": (512, 320, 1, 14),
}


def workflow(checkpoint: str, width: int, height: int, pictures: int, frames: int, **sampling: Any) -> dict[str, Any]:
    """Picture to PNGs in API form, from `pictures` copies of the picture."""
    settings = {"steps": 1, "min_guidance": 1.0, "max_guidance": 1.0, "guidance": "linear", "seed": 5} | sampling
    fitted = {"image": ["2", 0], "width": width, "height": height, "fit": "crop"}
    told = {"fps": 7, "motion_bucket_id": 110}
    nodes = {
        "1": ("StableVideoLoadCheckpoint", {"checkpoint": checkpoint, "precision": "auto"}),
        "2": ("LoadImage", {"image": "picture.png"}),
        "3": ("StableVideoFitImage", fitted),
        "4": ("RepeatImageBatch", {"image": ["3", 0], "amount": pictures}),
        "5": ("StableVideoEncodeClip", {"clip": ["1", 1], "image": ["4", 0]}),
        "6": ("StableVideoEncodeLatent", {"vae": ["1", 2], "image": ["4", 0], "noise_aug_strength": 0.02, "seed": 5}),
        "7": ("StableVideoCondition", {"embedding": ["5", 0], "image_latent": ["6", 0], **told}),
        "8": ("StableVideoSample", {"model": ["1", 0], "conditioning": ["7", 0], "frames": frames, **settings}),
        "9": ("StableVideoDecode", {"vae": ["1", 2], "latent": ["8", 0], "frames_per_chunk": 14}),
        "10": ("SaveImage", {"images": ["9", 0], "filename_prefix": "clip"}),
    }
    return {id: {"class_type": kind, "inputs": inputs} for id, (kind, inputs) in nodes.items()}


def prepare(server: Server) -> None:
    """The models and the picture that the workflows name."""
    home = server.base / "models" / "checkpoints"
    shutil.copy(NANO, home)
    save(preset_models("tiny"), home / "tiny.safetensors", "single")
    pixels = np.random.default_rng(3).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((240, 180), Image.Resampling.BICUBIC).save(server.base / "input" / "picture.png")


def import_seconds(server: Server) -> float:
    """What the server says that importing the pack took."""
    found = re.search(r"([\d.]+) seconds: \S*svd-nodes", server.log)
    assert found, server.log
    return float(found[1])


def imported() -> tuple[float, set[str]]:
    """Seconds to import the nodes where torch is there already, and which heavy packages that brings in."""
    code = (
        "import sys, time, torch; before = time.perf_counter(); import svd_nodes.nodes; "
        "print(time.perf_counter() - before, *({'transformers', 'torch._dynamo', 'diffusers'} & set(sys.modules)))"
    )
    seconds, *heavy = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    return float(seconds), set(heavy)


def seconds_to_cancel(server: Server, node: str, inside: float = INSIDE) -> float:
    """From pressing cancel inside this node to the server's word that the run has ended."""
    prompt = workflow("svd_nano.safetensors", *SIZES[node], seed=time.time_ns())
    if node == "StableVideoEncodeClip":
        prompt["6"]["inputs"]["image"] = ["3", 0]  # so many pictures are for CLIP alone
    (id,) = (id for id, entry in prompt.items() if entry["class_type"] == node)
    client, pressed = uuid.uuid4().hex, None
    socket = websocket.create_connection(f"ws://127.0.0.1:{server.port}/ws?clientId={client}", timeout=300)
    server.forget()
    server.queue(prompt, client)
    for message in iter(socket.recv, None):
        event = {} if isinstance(message, bytes) else json.loads(message)
        if event.get("type") == "executing" and event["data"]["node"] == id:
            time.sleep(inside)
            server.post("/interrupt", {})
            pressed = time.monotonic()
        elif event.get("type") == "execution_interrupted":
            break
        elif event.get("type") in ("execution_success", "execution_error"):
            raise RuntimeError(f"{node} was over before it could be cancelled: {event}")
    socket.close()
    assert pressed is not None
    return time.monotonic() - pressed


def megabytes(server: Server) -> float:
    """The server's resident memory once it has let go of all models and results."""
    server.forget()
    time.sleep(1)
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def memory_after(server: Server, runs: int) -> tuple[float, float, float]:
    """MB after one run, after half of the runs, and after all of them, each of another seed and emptied out."""
    found = []
    for run in range(1, runs + 1):
        server.run(workflow("svd_nano.safetensors", 128, 128, 1, 4, seed=run))
        if run in (1, runs // 2, runs):
            found.append(megabytes(server))
    return found[0], found[1], found[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    checkout = checkouts()[0]
    if checkout.why_not:
        sys.exit(checkout.why_not)
    print(f"ComfyUI {checkout.version}\n")
    seconds, heavy = imported()
    print("| measured | figure |\n|---|---|")
    print(f"| import of the nodes, torch there already | {seconds:.2f} s |")
    print(f"| heavy packages that this imports | {', '.join(heavy) or 'none'} |")
    with tempfile.TemporaryDirectory() as folder, running_server(checkout, Path(folder) / "base") as server:
        print(f"| import of the pack, as the server says | {import_seconds(server):.1f} s |")
        prepare(server)
        for node in NODES:
            waits = [seconds_to_cancel(server, node, inside) for inside in MOMENTS]
            print(f"| cancel in {node}, longest and middle of {len(waits)} | ", end="")
            print(f"{max(waits):.2f}, {median(waits):.2f} s |", flush=True)
        counts = f"1, {options.runs // 2} and {options.runs}"
        sizes = ", ".join(f"{size:.0f}" for size in memory_after(server, options.runs))
        print(f"| memory after {counts} runs, models and results dropped | {sizes} MB |")


if __name__ == "__main__":
    main()
