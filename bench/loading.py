"""How long a checkpoint takes from the disk to the card in fp16, and how much main memory it needs on its way.

    python -m svd_nodes.bench.loading [--preset full] [--folder FOLDER]

Makes a file of random weights in fp32 (9.5 GB) and removes it again. "cold" is with its pages dropped from main memory,
which needs a folder on a disk, not in memory; "warm" right after that. Beside it stand plain reads of the same bytes.
Memory is the high-water mark of a process of its own, before the loading (Python, torch, transformers and the
card's context) and after it.
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

import torch

from ..svd.checkpoint import load, save
from ..tools.random_checkpoint import PRESETS, preset_models
from .measure import DEVICE, GIB, machine, synchronize

PIECE = 2**24


def rows(preset: str, folder: Path | None = None) -> list[str]:
    """The table."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "random.safetensors"
        save(preset_models(preset, device=DEVICE), path)
        if DEVICE == "cuda":
            torch.cuda.empty_cache()
        size = path.stat().st_size
        lines = [
            f"## Loading {size / 1e9:.2f} GB of fp32 into fp16",
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


def in_a_process_of_its_own(path: Path) -> dict[str, float]:
    """What `load_here` found."""
    command = [sys.executable, "-m", f"{__package__}.loading", "--load", str(path)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def load_here(path: Path) -> dict[str, float]:
    """Seconds, and the high-water mark of memory in bytes before and after."""
    from transformers import CLIPVisionModelWithProjection  # noqa: F401  seconds that are not the file's

    torch.zeros(1, device=DEVICE)
    before = high_water()
    begin = time.perf_counter()
    load(path, torch.float16, DEVICE)
    synchronize()
    return {"seconds": time.perf_counter() - begin, "before": before, "after": high_water()}


def high_water() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="full")
    parser.add_argument("--folder", type=Path, help="where the file is made, instead of the system's temporary folder")
    parser.add_argument("--load", type=Path, help="an existing file: only load it, and print the figures as JSON")
    asked = parser.parse_args()
    if asked.load:
        print(json.dumps(load_here(asked.load)))
        return
    print(f"{date.today()}, {machine()}, torch {torch.__version__}, Python {platform.python_version()}\n")
    print("\n".join(rows(asked.preset, asked.folder)))


if __name__ == "__main__":
    main()
