"""Many queue clients on one real server, undisturbed and disturbed: is every clip made, home, right, and made once?

python -m svd_nodes.bench.queue [--clients 10] [--seeds 10]    (in the first ComfyUI that tests/comfyui finds)
Prints a table in Markdown. Every client asks for clips of two pictures with seeds of its own, at a tiny size. In the
disturbed run, half of the clients are killed when a quarter is made, and the server when half is made; it is started
again, and the killed clients with --resume.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ..svd.saving import save
from ..tests.comfyui.server import Checkout, Server, checkouts, running_server
from ..tools.random_checkpoint import preset_models

SETTINGS = {
    "StableVideoLoadCheckpoint.checkpoint": "tiny.safetensors",
    "StableVideoFitImage.width": 64,
    "StableVideoFitImage.height": 48,
    "StableVideoSample.frames": 4,
    "StableVideoSample.steps": 4,
}
PICTURES = ("one", "two")


@dataclass(frozen=True)
class Outcome:
    """What became of a run. All counts are of clips."""

    name: str
    clients: int
    asked: int
    home: int  # files that the clients have and their manifests call done
    right: int  # of these, how many say inside that they are of the picture and the seed asked for
    made: int  # whole files on the server
    doubled: int  # made more than once
    seconds: float

    def row(self) -> str:
        cells = (self.name, self.clients, self.asked, self.home, self.right, self.asked - self.right, self.doubled)
        return f"| {' | '.join(map(str, cells))} | {self.made} | {self.seconds:.0f} s |"


class Clients:
    """Processes of `svd-nodes queue`, each with a folder and seeds of its own."""

    def __init__(self, server: Server, folder: Path, count: int, seeds: int) -> None:
        self.server, self.folder, self.count, self.seeds = server, folder, count, seeds
        folder.mkdir()
        for number, name in enumerate(PICTURES):
            pixels = np.random.default_rng(number).integers(0, 256, (60, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{name}.png")
        self.processes = [self._start(number) for number in range(count)]

    def _start(self, number: int, *more: str) -> subprocess.Popen[str]:
        first = number * self.seeds + 1
        command = [sys.executable, "-m", "svd_nodes.headless", "queue", "quickstart"]
        command += ["--server", f"http://127.0.0.1:{self.server.port}", "--output", str(self.output(number))]
        command += ["--seeds", f"{first}-{first + self.seeds - 1}", *more]
        for name in PICTURES:
            command += ["--image", str(self.folder / f"{name}.png")]
        for name, value in SETTINGS.items():
            command += ["--set", f"{name}={value}"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def output(self, number: int) -> Path:
        return self.folder / str(number)

    def kill(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.processes[number].kill()
            self.processes[number].communicate()

    def resume(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.processes[number] = self._start(number, "--resume")

    def wait(self) -> None:
        for number, process in enumerate(self.processes):
            _, errors = process.communicate(timeout=600)
            if process.returncode:
                raise RuntimeError(f"Client {number} ended with {process.returncode}: {errors[-2000:]}")


def trial(checkout: Checkout, base: Path, folder: Path, clients: int, seeds: int, disturbed: bool) -> Outcome:
    """One run in a server of its own. base, folder: not there yet."""
    total, half = clients * seeds * len(PICTURES), range(0, clients, 2)
    with ExitStack() as stack:
        server = stack.enter_context(running_server(checkout, base))
        save(preset_models("tiny"), base / "models" / "checkpoints" / "tiny.safetensors", "single")
        began = time.monotonic()
        running = Clients(server, folder, clients, seeds)
        if disturbed:
            _until(lambda: len(_films(server)) >= total // 4)
            running.kill(half)
            _until(lambda: len(_films(server)) >= total // 2)
            stack.close()
            stack.enter_context(running_server(checkout, base, port=server.port))
            running.resume(half)
        running.wait()
        seconds = time.monotonic() - began
    name = "half of the clients and the server killed" if disturbed else "undisturbed"
    return _outcome(name, running, total, seconds)


def _outcome(name: str, running: Clients, total: int, seconds: float) -> Outcome:
    home = right = 0
    for number in range(running.count):
        manifest = json.loads((running.output(number) / "manifest.json").read_text())
        for job in manifest["jobs"]:
            path = running.output(number) / f"{job['name']}.mp4"
            home += job["state"] == "done" and path.is_file()
            right += _made_of(path) == (Path(job["picture"]).stem, job["seed"])
    made = Counter(filter(None, map(_made_of, _films(running.server))))
    return Outcome(
        name, running.count, total, home, right, made.total(), sum(count > 1 for count in made.values()), seconds
    )


def _films(server: Server) -> list[Path]:
    return list((server.base / "output" / "svd-queue").glob("*.mp4"))


def _made_of(path: Path) -> tuple[str, int] | None:
    """(picture, seed) that a film says inside it was made of; None if it is not whole."""
    try:
        with av.open(str(path)) as film:
            nodes = json.loads(film.metadata["prompt"]).values()
            frames = sum(1 for _ in film.decode(video=0))
    except (av.FFmpegError, KeyError):
        return None
    inputs = {node["class_type"]: node["inputs"] for node in nodes}
    sampler, picture = inputs["StableVideoSample"], Path(inputs["LoadImage"]["image"]).name.partition("-")[0]
    return (picture, sampler["seed"]) if frames == sampler["frames"] else None


def _until(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("The server has come to a stop.")
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10, help="of each client, with two pictures each")
    options = parser.parse_args()
    checkout = checkouts()[0]
    if checkout.why_not:
        sys.exit(checkout.why_not)
    os.environ["OMP_NUM_THREADS"] = "1"  # so small a model waits for its threads most of the time
    print(f"ComfyUI {checkout.version}\n")
    print("| run | clients | asked | home | right | lost | doubled | files on the server | time |")
    print("|---|---|---|---|---|---|---|---|---|")
    for disturbed in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            outcome = trial(checkout, place / "base", place / "work", options.clients, options.seeds, disturbed)
            print(outcome.row(), flush=True)


if __name__ == "__main__":
    main()
