"""Our nodes and core's in one editor, through its queue, on a card: speed, peaks, cancelling, and whether bits stay.

    python -m svd_nodes.bench.editor CHECKOUT [--python PYTHON] [--front-end FOLDER] [--repeats 3] [--ours] [--tiny]
                                     [--only default off headroom lowvram] [--out bench/results/NAME.md]

CHECKOUT is a ComfyUI; its models and outputs are not touched. --front-end is a folder with any index.html where the
editor's own front end is not installed. Each way of starting the editor is one server, with 25 frames of 1024 x 576 in
fp16 and random weights. Times are the server's own stamps of whole runs: a step is a tenth of what 15 steps take more
than 5, by the medians; decoding is what comes on top of one step. A peak is the whole card's, as nvidia-smi sees it.
--ours leaves core's nodes out. --tiny tries all but the figures with small networks and without core, on a CPU too.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import websocket
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parents[1]
NOT_THE_PACK = shutil.ignore_patterns(
    ".*", "tests", "bench", "training", "demo", "build", "__pycache__", "node_modules"
)
FULL, NANO = "svd_full.safetensors", "svd_nano.safetensors"
LEFT = 8  # GiB that the run with headroom leaves to the editor
WAYS = {
    "default": "as it starts by itself",
    "off": "--disable-dynamic-vram",
    "headroom": f"--vram-headroom that leaves {LEFT} GiB",
    "lowvram": "--lowvram",
}

Graph = dict[str, Any]


@dataclass(frozen=True)
class Clip:
    """What every graph here makes."""

    checkpoint: str = FULL
    width: int = 1024
    height: int = 576
    frames: int = 25


class Failed(Exception):
    """A run that the editor refused or that ended in an error."""


# ---- the graphs


def ours(clip: Clip, steps: int, seed: int, again: int = 0, memory: str = "auto") -> Graph:
    """Sampling by our nodes; its latent is ("8", 0). again: does all but the loading anew, with equal results."""
    return nodes(
        ("1", "StableVideoLoadCheckpoint", {"checkpoint": clip.checkpoint, "precision": "auto", "memory": memory}),
        ("2", "LoadImage", {"image": "lighthouse.png"}),
        ("3", "StableVideoFitImage", {"image": ["2", 0], "width": clip.width, "height": clip.height, "fit": "crop"}),
        ("4", "StableVideoEncodeClip", {"clip": ["1", 1], "image": ["3", 0]}),
        # Without noise its seed changes nothing but the cache's key.
        ("5", "StableVideoEncodeLatent", {"vae": ["1", 2], "image": ["3", 0], "noise_aug_strength": 0, "seed": again}),
        (
            "6",
            "StableVideoCondition",
            {"embedding": ["4", 0], "image_latent": ["5", 0], "fps": 7, "motion_bucket_id": 127},
        ),
        (
            "8",
            "StableVideoSample",
            {"model": ["1", 0], "conditioning": ["6", 0], "frames": clip.frames, "steps": steps, "seed": seed}
            | {"min_guidance": 1, "max_guidance": 3, "guidance": "linear", "churn": 0},
        ),
    )


def core(clip: Clip, steps: int, seed: int, again: int = 0) -> Graph:
    """The same by core's nodes."""
    size = {"width": clip.width, "height": clip.height, "video_frames": clip.frames}
    told = {"motion_bucket_id": 127, "fps": 7, "augmentation_level": 0.0}
    inputs = {"clip_vision": ["20", 1], "init_image": ["2", 0], "vae": ["20", 2]}
    return nodes(
        ("2", "LoadImage", {"image": "lighthouse.png"}),
        ("20", "ImageOnlyCheckpointLoader", {"ckpt_name": clip.checkpoint}),
        ("21", "VideoLinearCFGGuidance", {"model": ["20", 0], "min_cfg": 1}),
        ("22", "SVD_img2vid_Conditioning", inputs | size | told),
        (
            "8",
            "KSampler",
            {"model": ["21", 0], "positive": ["22", 0], "negative": ["22", 1], "latent_image": ["22", 2], "seed": seed}
            | {"steps": steps, "cfg": 3, "sampler_name": "euler", "scheduler": "karras", "denoise": 1},
        ),
    )


def nodes(*listed: tuple[str, str, dict[str, Any]]) -> Graph:
    return {id: {"class_type": kind, "inputs": inputs} for id, kind, inputs in listed}


def latent_of(graph: Graph) -> Graph:
    """The graph with its latent saved."""
    return graph | nodes(("90", "SaveLatent", {"samples": ["8", 0], "filename_prefix": "bench"}))


def frames_of(graph: Graph, small: bool = True) -> Graph:
    """The graph with its frames decoded and saved, made small first where only the time matters."""
    if "20" in graph:
        decode = ("9", "VAEDecode", {"samples": ["8", 0], "vae": ["20", 2]})
    else:
        decode = ("9", "StableVideoDecode", {"vae": ["1", 2], "latent": ["8", 0], "frames_per_chunk": 14})
    scaled = ("10", "ImageScaleBy", {"image": ["9", 0], "upscale_method": "nearest-exact", "scale_by": 0.0625})
    kept = ("91", "SaveImage", {"images": ["10" if small else "9", 0], "filename_prefix": "bench"})
    return graph | (nodes(decode, scaled, kept) if small else nodes(decode, kept))


# ---- the editor


@dataclass
class Editor:
    """A running editor; `base` has its models, input and output."""

    base: Path
    port: int
    process: subprocess.Popen[bytes]
    peak: int = 0
    """MiB of the card in use at most since this was last set to 0; stays 0 without a card."""
    _over: threading.Event = field(default_factory=threading.Event)

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            raise Failed(error.read().decode()[:1000]) from None

    def queue(self, graph: Graph, client: str = "bench") -> str:
        return str(self.ask("/prompt", {"prompt": graph, "client_id": client})["prompt_id"])

    def wait(self, prompt_id: str) -> dict[str, Any]:
        while not (history := self.ask(f"/history/{prompt_id}").get(prompt_id)):
            if self.process.poll() is not None:
                raise Failed(f"the editor ended: {self.log[-1500:]}")
            time.sleep(0.02)
        return dict(history)

    def run(self, graph: Graph) -> tuple[float, int, list[Path]]:
        """Seconds, the card's peak in MiB, and the files of a run."""
        self.peak = 0
        history = self.wait(self.queue(graph))
        messages = dict(history["status"]["messages"])
        if error := messages.get("execution_error"):
            raise Failed(f"{error['node_type']}: {error['exception_message'][:600]}")
        begin, end = (messages[f"execution_{what}"]["timestamp"] for what in ("start", "success"))
        outputs = history["outputs"].values()
        saved = [item for output in outputs for items in output.values() if isinstance(items, list) for item in items]
        saved = [item for item in saved if isinstance(item, dict)]  # and not the "animated" of a film
        files = [self.base / item["type"] / item["subfolder"] / item["filename"] for item in saved]
        return (end - begin) / 1000, self.peak, files

    @property
    def log(self) -> str:
        return (self.base / "editor.log").read_text(errors="replace")

    def watch(self) -> None:
        """Looks at the card until the editor ends."""
        while (used := card("memory.used")) is not None and not self._over.wait(0.1):
            self.peak = max(self.peak, used)


@contextmanager
def started(
    checkout: Path, base: Path, options: Sequence[str], python: str, front_end: Path | None
) -> Iterator[Editor]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "main.py", "--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(base)]
    command += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes", *options]
    command += ["--front-end-root", str(front_end)] if front_end else []
    environment = os.environ | {"TRITON_CACHE_DIR": str(base / "triton")}  # the first start builds, others find
    with open(base / "editor.log", "wb") as log:
        process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=log, stderr=log)
    editor = Editor(base, port, process)
    threading.Thread(target=editor.watch, daemon=True).start()
    try:
        for _ in range(1200):
            if process.poll() is not None:
                raise Failed(f"the editor did not start: {editor.log[-1500:]}")
            with suppress(OSError):
                editor.ask("/queue")
                break
            time.sleep(0.1)
        yield editor
    finally:
        editor._over.set()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def prepare(base: Path, tiny: bool) -> None:
    """The pack, its example picture, and the checkpoint that both graphs load."""
    shutil.copytree(ROOT, base / "custom_nodes" / "svd-nodes", ignore=NOT_THE_PACK)
    for folder in ("input", "output", "user", "models/checkpoints"):
        (base / folder).mkdir(parents=True)
    shutil.copy(ROOT / "web" / "pictures" / "lighthouse.png", base / "input")
    checkpoint = base / "models" / "checkpoints" / FULL
    made = ["--preset", "tiny"] if tiny else ["--preset", "full", "--device", "cuda"]
    command = [sys.executable, "-m", "svd_nodes.tools.random_checkpoint", str(checkpoint), *made]
    subprocess.run(command, check=True)  # in a process of its own, which leaves nothing on the card


# ---- what is measured


def speed(editor: Editor, sampling: Callable[..., Graph], clip: Clip, repeats: int, label: str) -> list[list[str]]:
    """Rows of one chain: its first run, a step, decoding, the whole clip, peaks."""
    first, _, _ = editor.run(latent_of(sampling(clip, 2, 1)))
    short, long, single, decoded = [], [], [], []
    for i in range(repeats):
        short.append(editor.run(latent_of(sampling(clip, 5, 10 + i)))[0])
        long.append(editor.run(latent_of(sampling(clip, 15, 20 + i)))[0])
    for i in range(repeats + 1):  # the first decoding brings the VAE
        single.append(editor.run(latent_of(sampling(clip, 1, 30 + i)))[0])
        decoded.append(editor.run(frames_of(sampling(clip, 1, 30 + i)))[0])  # the latent is there: decoding alone
    whole, peak, _ = editor.run(frames_of(sampling(clip, 25, 40)))
    step = (median(long) - median(short)) / 10
    steps = ", ".join(f"{1000 * (b - a) / 10:.0f}" for a, b in zip(short, long, strict=True))
    return [
        [label, "first run: load, two steps", f"{first:.1f} s", ""],
        [label, "step", f"{1000 * step:.0f} ms", steps],
        [label, "decoding", f"{median(decoded[1:]):.2f} s", f"the first {decoded[0]:.2f}"],
        [label, "whole clip, 25 steps", f"{whole:.2f} s", f"peak {peak / 1024:.1f} GiB"],
    ]


def latents(files: Sequence[Path]) -> NDArray[np.float32]:
    return np.stack([load_file(path)["latent_tensor"] for path in files])


def in_turn(editor: Editor, clip: Clip, with_core: bool) -> tuple[str, NDArray[np.float32]]:
    """Ours, core's, ours: whether the third run has the first one's bits. Also the latent."""
    before = latents(editor.run(latent_of(ours(clip, 3, 5, again=1)))[2])
    if with_core:
        editor.run(frames_of(core(clip, 2, 50)))
    after = latents(editor.run(latent_of(ours(clip, 3, 5, again=2)))[2])
    return (
        "the same bits" if np.array_equal(before, after) else f"differ by {np.abs(before - after).max():.3g}"
    ), after


def cancelled(editor: Editor, clip: Clip) -> float:
    """Seconds from the cancel button to the end of a run that was in mid-step."""
    id = editor.queue(latent_of(ours(clip, 1000, 60)))
    time.sleep(3 if clip.width == Clip.width else 1)
    asked = time.monotonic()
    editor.ask("/interrupt", {})
    history = editor.wait(id)
    took = time.monotonic() - asked
    if "execution_interrupted" not in dict(history["status"]["messages"]):
        raise Failed(f"the run was over before it was cancelled: {history['status']}")
    return took


def previews(editor: Editor, graph: Graph) -> int:
    """How many moving previews a page gets that asked for them."""
    client, count = uuid.uuid4().hex, 0
    page = websocket.create_connection(f"ws://127.0.0.1:{editor.port}/ws?clientId={client}", timeout=300)
    editor.ask("/svd-nodes/previews", {"client": client, "wanted": True})
    editor.queue(graph, client)
    for message in iter(page.recv, None):
        kind = json.loads(message)["type"] if isinstance(message, str) else ""
        count += kind == "svd-nodes.clip"
        if kind in ("execution_success", "execution_error", "execution_interrupted"):
            break
    page.close()
    return count


def quickstart(editor: Editor) -> list[str]:
    """The template as it is shipped."""
    graph = json.loads((ROOT / "workflows" / "api" / "quickstart.json").read_text())
    clips = previews(editor, graph)
    _, _, (film,) = editor.run(graph)  # from the cache: it names the file
    return ["ours", "quickstart", f"{film.stat().st_size // 1000} kB", f"{clips} previews of the moving clip"]


def examine(way: str, editor: Editor, clip: Clip, with_core: bool, repeats: int) -> Iterator[list[str]]:
    """All rows of one way of starting the editor. Keeps latent and frames for the comparison of ways."""
    chains = [("ours", ours), *([("core", core)] if with_core else [])]
    for label, sampling in chains:
        yield from speed(editor, sampling, clip, repeats, label)
    told, latent = in_turn(editor, clip, with_core)
    yield ["ours", "ours, core's, ours again" if with_core else "twice", told, ""]
    np.save(editor.base / f"{way}.npy", latent)
    _, peak, files = editor.run(frames_of(ours(clip, 3, 5, again=3), small=False))
    np.save(editor.base / f"{way}_frames.npy", np.stack([np.asarray(Image.open(path)) for path in files]))
    yield ["ours", "three steps and all frames", "", f"peak {peak / 1024:.1f} GiB"]
    yield ["ours", "cancel in mid-step", f"{cancelled(editor, clip):.2f} s", ""]
    if (editor.base / "custom_nodes" / "svd-nodes" / "assets" / "checkpoints" / NANO).exists():
        yield quickstart(editor)
    chosen = [line.split("Memory: ")[1].rstrip(".") for line in editor.log.splitlines() if "Memory: " in line]
    yield ["ours", "memory, chosen by auto", ", ".join(dict.fromkeys(chosen)), ""]


def compared(base: Path, ways: Sequence[str]) -> Iterator[list[str]]:
    """Latents and frames of every way against the first one's."""
    for way in ways[1:]:
        latent, other = (np.load(base / f"{name}.npy") for name in (ways[0], way))
        frames, others = (np.load(base / f"{name}_frames.npy").astype(int) for name in (ways[0], way))
        bits = "the same bits" if np.array_equal(latent, other) else f"up to {np.abs(latent - other).max():.3g} of "
        bits += "" if bits == "the same bits" else f"{np.abs(latent).max():.3g}"
        off = np.abs(frames - others)
        yield [way, bits, f"frames: mean {off.mean():.4f}, most {off.max()} of 255 levels"]


def card(figure: str) -> int | None:
    """What nvidia-smi says of the card, in MiB: memory.used or memory.total. None without a card."""
    ask = ["nvidia-smi", "-i", "0", f"--query-gpu={figure}", "--format=csv,noheader,nounits"]
    told = subprocess.run(ask, capture_output=True, text=True).stdout.split() if shutil.which(ask[0]) else []
    return int(told[0]) if told else None


def options(way: str) -> list[str]:
    """What the editor is started with."""
    total = card("memory.total")
    headroom = f"{(total or 0) / 1024 - LEFT:.2f}"
    told = {
        "default": [],
        "off": ["--disable-dynamic-vram"],
        "headroom": ["--vram-headroom", headroom] if total else [],
        "lowvram": ["--lowvram"],
    }
    return told[way] + ([] if total else ["--cpu"])


def table(rows: Sequence[Sequence[str]], *head: str) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m svd_nodes.bench.editor")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--front-end", type=Path)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path)
    told = parser.parse_args(arguments)
    clip = Clip(width=128, height=96, frames=4) if told.tiny else Clip()
    parts = []

    def show(text: str) -> None:
        parts.append(text)
        print(text, flush=True)
        if told.out:
            told.out.write_text("\n\n".join(parts) + "\n")

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        prepare(base, told.tiny)
        done = []
        for way in told.only:
            flags = options(way)
            show(f"## {WAYS[way]}{': ' + ' '.join(flags) if way == 'headroom' else ''}")
            rows = []
            try:
                with started(told.checkout, base, flags, told.python, told.front_end) as editor:
                    for row in examine(way, editor, clip, not (told.ours or told.tiny), told.repeats):
                        rows.append(row)
                        print(" | ".join(row), flush=True)
                done.append(way)
            except (Failed, OSError) as failure:  # what is measured by then is kept
                rows.append(["", "failed", " ".join(str(failure).split())[:900], ""])
            show(table(rows, "nodes", "what", "", "beside it"))
        if len(done) > 1:
            show(f"## Against {WAYS[done[0]]}\n\n" + table(list(compared(base, done)), "started", "latent", "frames"))


if __name__ == "__main__":
    main()
