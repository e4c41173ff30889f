"""How long a checkpoint takes from the disk to the card in fp16, how much main memory that needs, and the first clip.

    python -m svd_nodes.bench.loading [--preset full] [--folder FOLDER]

Makes a file of random weights in fp32 (9.5 GB) and removes it again. "cold" is with its pages dropped from main memory,
which needs a folder on a disk, not in memory; "warm" right after that. Beside it stand plain reads of the same bytes.
Memory is the high-water mark of a process of its own, before the loading (Python, torch, transformers and the
card's context) and after it. Clips are of 25 frames of 1024x576 in 25 steps, with the models resident: the first right
after the loading, in whose time the kernels are built; on a machine that has never built one, then on one that has.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

from ..svd.checkpoint import load, save
from ..svd.kernels import begin, build
from ..tools.random_checkpoint import PRESETS, preset_models
from .measure import DEVICE, GIB, machine, seconds, synchronize

PIECE = 2**24
DTYPE = torch.float16 if DEVICE == "cuda" else torch.float32  # a processor only tries it


def rows(preset: str, folder: Path | None = None) -> list[str]:
    """The table."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "random.safetensors"
        save(preset_models(preset, device=DEVICE), path)
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
        size = path.stat().st_size
        lines = [
            f"## Loading {size / 1e9:.2f} GB of fp32 into {str(DTYPE)[6:]}",
            "",
            "| | plain reads | | loading | | memory before | after |",
            "|---|---|---|---|---|---|---|",
        ]
        for state in ("cold", "warm"):
            if state == "cold":
                drop(path)
            read = read_all(path)
            if state == "cold":
                drop(path)
            loaded = in_a_process_of_its_own(path)
            times = [f"{s:.2f} s | {size / s / 1e9:.2f} GB/s" for s in (read, loaded["seconds"])]
            memory = [f"{loaded[name] / GIB:.2f} GiB" for name in ("before", "after")]
            lines.append(f"| {state} | {' | '.join([*times, *memory])} |")
        lines += ["", "| a process | loading, kernels with it | first clip | second | ratio |", "|---|---|---|---|---|"]
        built = {"TRITON_CACHE_DIR": f"{place}/kernels"}
        for state in ("that builds the kernels", "after one that did"):
            loaded = in_a_process_of_its_own(path, "--clips", built)
            first, second = loaded["first"], loaded["second"]
            lines.append(
                f"| {state} | {loaded['seconds']:.2f} s | {first:.2f} s | {second:.2f} s | {first / second:.2f} |"
            )
    return [*lines, ""]


def drop(path: Path) -> None:
    """Takes a file's pages out of main memory; what is not written yet would stay."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_all(path: Path) -> float:
    """Seconds for the whole file, into one piece of memory again and again."""
    piece = bytearray(PIECE)
    begin = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(piece):
            pass
    return time.perf_counter() - begin


def in_a_process_of_its_own(path: Path, what: str = "--load", environment: dict[str, str] | None = None) -> dict:
    """What `load_here` or `clips_here` found."""
    command = [sys.executable, "-m", f"{__package__}.loading", what, str(path)]
    environment = os.environ | (environment or {})
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def load_here(path: Path, kernels: bool = False) -> dict[str, Any]:
    """The models, seconds, and the high-water mark of memory in bytes before and after."""
    from transformers import CLIPVisionModelWithProjection  # noqa: F401  seconds that are not the file's

    torch.zeros(1, device=DEVICE)
    before = high_water()
    start = time.perf_counter()
    if kernels:
        begin(DEVICE, DTYPE)
    models = load(path, DTYPE, DEVICE)
    if kernels:
        build(DEVICE, DTYPE)
    synchronize()
    return {"models": models, "seconds": time.perf_counter() - start, "before": before, "after": high_water()}


@torch.inference_mode()
def clips_here(path: Path) -> dict[str, float]:
    """Seconds of the loading, with the kernels, and of two clips."""
    from .gpu import Ours

    with torch.inference_mode(False):
        loaded = load_here(path, kernels=True)
    work = Ours(loaded.pop("models"), *((25, 1024, 576, 25) if DEVICE == "cuda" else (3, 64, 64, 2)))
    return loaded | {"first": seconds(work.clip), "second": seconds(work.clip)}


def high_water() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="full")
    parser.add_argument("--folder", type=Path, help="where the file is made, instead of the system's temporary folder")
    parser.add_argument("--load", type=Path, help="an existing file: only load it, and print the figures as JSON")
    parser.add_argument("--clips", type=Path, help="the same, and two clips with it")
    asked = parser.parse_args()
    if asked.load or asked.clips:
        found = load_here(asked.load) if asked.load else clips_here(asked.clips)
        print(json.dumps({name: value for name, value in found.items() if name != "models"}))
        return
    print(f"{date.today()}, {machine()}, torch {torch.__version__}, Python {platform.python_version()}\n")
    print("\n".join(rows(asked.preset, asked.folder)))


if __name__ == "__main__":
    main()
