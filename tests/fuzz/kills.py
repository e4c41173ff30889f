"""Commands that are ended at random moments: `python -m svd_nodes.tests.fuzz.kills --count 60 --seed 0`.

Each is begun in a folder of its own, ended by SIGKILL (or now and then SIGTERM or SIGHUP) at a moment of its time or at
one of its touches of the file system, and then given once more. After the first every result is the old one or the new
one, whole; the second is not blocked, makes the new one, and leaves nothing else.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from svd_nodes.headless import films  # noqa: F401  (so that no child has to import it)
from svd_nodes.headless import generate as maker  # noqa: F401
from svd_nodes.headless import run as runner  # noqa: F401
from svd_nodes.headless.cli import app
from svd_nodes.svd import StableVideoDiffusionPipeline

from .. import killing, tiny_files

SMALL = ["--width", "32", "--height", "24", "--steps", "2", "--frames", "3", "--device", "cpu"]
SOURCE = Path("source")  # checkpoint, pictures, workflows; everything else in a folder is results


@dataclass(frozen=True)
class Case:
    """A command, given first with `seed` 0 where something is to be there before, then with 1."""

    name: str
    work: Callable[[int], None]
    before: bool = False
    one: bool = True  # result: all of it is old, or all of it is new
    counts_on: bool = False  # a second run takes new names


def call(*words: object) -> None:
    """The command line, silent. Raises SystemExit."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        app([str(word) for word in words])


def generate(*words: str) -> Callable[[int], None]:
    checkpoint = str(SOURCE / "tiny.safetensors")
    return lambda seed: call("generate", "--checkpoint", checkpoint, "--seed", seed, *SMALL, *words)


def run(workflow: str) -> Callable[[int], None]:
    return lambda seed: call("run", SOURCE / workflow, "--output", "results", "--set", f"8.seed={seed}")


def convert(to: str, layout: str) -> Callable[[int], None]:
    precisions = ("fp32", "fp16")
    words = (SOURCE / "tiny.safetensors", to, "--layout", layout, "--overwrite", "--precision")
    return lambda seed: call("convert", *words, precisions[seed])


def save(seed: int) -> None:
    pipeline = StableVideoDiffusionPipeline.from_pretrained(SOURCE / "tiny.safetensors")
    pipeline.save_pretrained("saved")


A, B = str(SOURCE / "a.png"), str(SOURCE / "b.png")
CASES = (
    Case("generate a film", generate(A, "-o", "clip.mp4")),
    Case("generate a film over another", generate(A, "-o", "clip.webm", "--overwrite"), before=True),
    Case("generate frames", generate(A, "-o", "frames")),
    Case("generate frames over others", generate(A, "-o", "frames", "--overwrite"), before=True),
    Case("generate films of two pictures", generate(A, B, "-o", "clips", "--overwrite"), before=True, one=False),
    Case("run, a film", run("film.json"), before=True, counts_on=True),
    Case("run, pictures", run("pictures.json"), before=True, one=False, counts_on=True),
    Case("convert to a file", convert("new.safetensors", "single"), before=True),
    Case("convert to a folder", convert("new", "diffusers"), before=True),
    Case("save_pretrained", save),
)


def prepare(source: Path) -> None:
    """What the commands read."""
    source.mkdir()
    checkpoint = tiny_files.checkpoint(source)
    for name in ("a.png", "b.png"):
        tiny_files.picture(source / name)
    film = tiny_files.tiny_workflow("quickstart", checkpoint, source / "a.png")
    pictures = {id: node for id, node in film.items() if node["class_type"] not in ("CreateVideo", "SaveVideo")}
    pictures["99"] = {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "a/frame"}}
    (source / "film.json").write_text(json.dumps(film))
    (source / "pictures.json").write_text(json.dumps(pictures))


@dataclass
class Known:
    """A case's folder before and after, and what the command takes: seconds, and touches of the file system."""

    case: Case
    start: Path
    old: dict[str, str]
    new: dict[str, str]
    seconds: float
    touches: int


def results(folder: Path) -> dict[str, str]:
    return {name: hash for name, hash in killing.content(folder).items() if not name.startswith(f"{SOURCE}/")}


def within(folder: Path, work: Callable[[], None]) -> Callable[[], None]:
    def there() -> None:
        os.chdir(folder)
        work()

    return there


def learn(case: Case, source: Path, home: Path) -> Known:
    """Runs it to its end, twice: for its time, and for its touches."""
    start, scratch = home / f"{case.name} before", home / f"{case.name} scratch"
    start.mkdir()
    (start / SOURCE).symlink_to(source)
    if case.before:
        assert killing.forked(within(start, lambda: case.work(0))) == 0, case.name
    shutil.copytree(start, scratch, symlinks=True)
    began = time.monotonic()
    assert killing.forked(within(scratch, lambda: case.work(1))) == 0, case.name
    seconds, new = time.monotonic() - began, results(scratch)
    shutil.rmtree(scratch)
    shutil.copytree(start, scratch, symlinks=True)
    touches = killing.touches(within(scratch, lambda: case.work(1)))
    assert results(scratch) == new, f"{case.name}: the same seed makes the same"
    shutil.rmtree(scratch)
    return Known(case, start, results(start), new, seconds, touches)


def trial(known: Known, folder: Path, generator: random.Random) -> str:
    """One end. AssertionError if something is not as it should be. Returns: what became of the command."""
    case = known.case
    shutil.copytree(known.start, folder, symlinks=True)
    number = generator.choice([signal.SIGKILL] * 4 + [signal.SIGTERM, signal.SIGHUP])
    work = within(folder, lambda: case.work(1))
    if generator.random() < 0.5:
        code = killing.ended_after(generator.uniform(0, known.seconds), work, number)
    else:
        code = killing.ended_at(generator.randint(1, known.touches), work, number)
    now = results(folder)
    whole = known.old.items() | known.new.items()
    assert now.items() <= whole, f"not whole: {now.items() - whole}"
    assert not case.one or now in (known.old, known.new), f"half done: {sorted(now)}"
    if number == signal.SIGKILL:
        assert code in (0, -number), code
    else:
        assert code in (0, -number, 128 + number), code
        if case.work is not save:  # plain Python hears no signal: it is as good as killed
            left = [entry.name for place in killing.leftovers(folder) for entry in place.iterdir()]
            assert set(left) <= {"lock"}, f"told to end, it leaves {left}"
    again = killing.forked(work)
    assert again == 0 or (now == known.new and again in (1, 2)), f"blocked: {again}"
    now = results(folder)
    if case.counts_on:
        hashes = Counter(known.new.values()) - Counter(known.old.values())
        assert set(hashes) <= set(now.values()) <= set(known.new.values()) | set(known.old.values())
    else:
        assert now == known.new, sorted(now)
    assert again != 0 or killing.leftovers(folder) == []  # a run that is refused clears nothing away
    return "at its end" if code == 0 else signal.Signals(number).name


def trials(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """The case of each, and what became of it."""
    torch.set_num_threads(1)  # a child has none of its parent's threads
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        home = Path(name).resolve()
        prepare(home / SOURCE)
        known: dict[str, Known] = {}
        for index in range(count):
            case = CASES[index % len(CASES)]
            if case.name not in known:
                known[case.name] = learn(case, home / SOURCE, home)
            folder = home / f"{index}"
            yield case.name, trial(known[case.name], folder, generator)
            shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    for index, (case, end) in enumerate(trials(words.count, words.seed), 1):
        counts[case, end] += 1
        print(f"{index:3}  {case}: {end}", flush=True)
    for (case, end), number in sorted(counts.items()):
        print(f"{case}: {number} {end}")
    print(f"{sum(counts.values())} ends, nothing half-written, nothing blocked, nothing left.")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
