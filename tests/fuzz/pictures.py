"""Mutated pictures and films: each is read, or refused in one sentence, in 10 s of processor time and 1 GiB.

    python -m svd_nodes.tests.fuzz.pictures --count 500 --seed 0

Input INDEX of a seed is always the same file; `--only INDEX --keep DIR` writes it. POSIX only, for the limits.
"""

import argparse
import os
import random
import resource
import select
import signal
import struct
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from svd_nodes.headless.clipfile import frames
from svd_nodes.svd import picturefile
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.image import read_picture
from svd_nodes.tests.fuzz import seed_pictures

SECONDS, MEMORY = 10, 1 << 30
STANDSTILL = 300  # seconds without any input done: on the busiest machine, it waits for something
ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
Mutation = Callable[[random.Random, bytes, bytes], bytes]


def cut(r: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: r.randrange(len(data))] if r.random() < 0.5 else data[: -r.randint(1, min(16, len(data)))]


def flip(r: random.Random, data: bytes, _: bytes) -> bytes:
    changed = bytearray(data)
    for _number in range(r.choice((1, 1, 2, 8, 64))):
        at = r.randrange(min(len(changed), r.choice((64, 512, len(changed)))))
        changed[at] = r.randrange(256) if r.random() < 0.7 else changed[at] ^ 1 << r.randrange(8)
    return bytes(changed)


def odd_number(r: random.Random, data: bytes, _: bytes) -> bytes:
    """Where there may be a length, a size or a count."""
    at = r.randrange(min(len(data), r.choice((64, 512, len(data)))))
    value = r.choice(ODD)
    number = struct.pack(r.choice("<>") + "I", value)
    number = r.choice((number, struct.pack(r.choice("<>") + "H", value & 0xFFFF), bytes([value & 0xFF])))
    return data[:at] + number + data[at + len(number) :]


def swap(r: random.Random, data: bytes, _: bytes) -> bytes:
    a, b, c = sorted(r.randrange(len(data) + 1) for _number in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def repeat(r: random.Random, data: bytes, _: bytes) -> bytes:
    a, b = sorted(r.randrange(len(data) + 1) for _number in range(2))
    return data[:b] + data[a:b] * r.choice((1, 2, 40)) + data[b:]


def drop(r: random.Random, data: bytes, _: bytes) -> bytes:
    at = r.randrange(len(data))
    return data[:at] + data[at + r.choice((1, 2, 4, 12, 100)) :]


def splice(r: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: r.randrange(len(data))] + other[r.randrange(len(other)) :]


MUTATIONS: tuple[Mutation, ...] = (cut, flip, flip, odd_number, odd_number, swap, repeat, drop, splice)


def checked(data: bytes) -> bytes:
    """A PNG with checksums that fit, so that its chunks are read."""
    out, at = [data[:8]], 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunk = data[at + 4 : at + 8 + length]
        out.append(data[at : at + 8 + length] + struct.pack(">I", zlib.crc32(chunk)))
        at += 12 + length
    return b"".join(out)


def mutated(seed: int, index: int, seeds: dict[str, bytes]) -> tuple[str, bytes]:
    """A name and a content, the same for the same numbers."""
    r = random.Random(f"{seed}/{index}")
    name = r.choice(sorted(seeds))
    data = seeds[name]
    for _ in range(r.choice((1, 1, 1, 2, 4))):
        data = r.choice(MUTATIONS)(r, data, seeds[r.choice(sorted(seeds))]) or b"\0"
    return name, checked(data) if data.startswith(b"\x89PNG") and r.random() < 0.6 else data


def examine(path: Path) -> str:
    """Reads a file in all the ways there are. Returns "read" or "refused"; AssertionError where both are wrong."""
    picturefile.describe(path)
    outcome = _outcome(lambda: [frame.load() for frame in frames(path)], path)
    if path.suffix in (".mp4", ".mkv", ".avi"):
        return outcome
    whole = _outcome(lambda: _sound(picturefile.read(path)), path)
    first = _outcome(lambda: read_picture(path), path)
    assert (whole, first) != ("read", "refused"), "all pictures are read, and the first is not"
    return first


def _sound(found: picturefile.Pictures) -> None:
    assert found.frames
    for frame in found.frames:
        assert frame.mode in ("RGB", "RGBA")
        assert frame.size == found.frames[0].size
        assert min(frame.size) > 0
        assert not frame.info


def _outcome(work: Callable[[], object], path: Path) -> str:
    try:
        work()
    except InputError as error:
        sentence = str(error)
        assert path.name in sentence, sentence
        assert sentence.isprintable(), sentence
        assert len(sentence) < 400, sentence
        return "refused"
    return "read"


def _limits() -> None:
    """A gibibyte on top of what the program itself takes."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _child(indices: list[int], seed: int, seeds: dict[str, bytes], folder: Path, pipe: int) -> None:
    """Examines inputs and writes a line for each: its index, a tab and what came out."""
    _limits()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff's own words
    for index in indices:
        name, data = mutated(seed, index, seeds)
        path = folder / name
        path.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal ends the process
        try:
            outcome = examine(path)
        except BaseException:
            outcome = "FAULT " + traceback.format_exc().replace("\n", " | ")
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(pipe, f"{index}\t{name}\t{outcome}\n".encode())
        path.unlink()


def run(count: int, seed: int, only: int | None = None) -> tuple[Counter[str], list[str]]:
    """How often what came out, and a line for every fault."""
    seeds = seed_pictures.pictures() | seed_pictures.films()
    left = list(range(count)) if only is None else [only]
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        while left:
            lines, ending = _in_a_child(left, seed, seeds, Path(folder))
            for line in lines:
                index, name, outcome = line.split("\t", 2)
                left.remove(int(index))
                outcomes[outcome.split()[0]] += 1
                if outcome.startswith("FAULT"):
                    faults.append(f"{index} ({name}): {outcome}")
            if ending and left:
                outcomes["FAULT"] += 1
                faults.append(f"{left[0]} ({mutated(seed, left.pop(0), seeds)[0]}): FAULT {ending}")
    return outcomes, faults


def _in_a_child(left: list[int], seed: int, seeds: dict[str, bytes], folder: Path) -> tuple[list[str], str]:
    """What a process of its own wrote, and how it ended if not well."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            _child(left, seed, seeds, folder, write)
        finally:
            os._exit(0)
    os.close(write)
    text, stood_still = b"", False
    while True:
        if not select.select([read], [], [], STANDSTILL)[0]:
            os.kill(child, signal.SIGKILL)
            stood_still = True
        if not (more := os.read(read, 1 << 16)):
            break
        text += more
    os.close(read)
    status = os.waitpid(child, 0)[1]
    ending = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else ""
    lines = text.decode().splitlines()
    if not ending and len(lines) < len(left):
        ending = "the process ended"
    return lines, "stood still" if stood_still else ending


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one input alone")
    parser.add_argument("--keep", type=Path, help="write the input of --only into this folder, and do nothing else")
    options = parser.parse_args()
    if options.keep:
        name, data = mutated(options.seed, options.only, seed_pictures.pictures() | seed_pictures.films())
        (options.keep / name).write_bytes(data)
        return
    outcomes, faults = run(options.count, options.seed, options.only)
    print(*faults, sep="\n")
    print(", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
