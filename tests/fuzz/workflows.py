"""Damages saved workflows at random, and reads them: each is accepted, or refused in one sentence, quickly.

    python -m svd_nodes.tests.fuzz.workflows --count 2000 --seed 0

A case is made of the seed and its number alone, so that `--only NUMBER` makes it again.
"""

import argparse
import copy
import json
import multiprocessing
import random
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
SECONDS = 10.0  # for a case
MEMORY = 2 * 2**30  # bytes that the reader may take beside what it has after its imports
PLAIN = [
    None,
    True,
    False,
    0,
    1,
    -1,
    3,
    7,
    2**31,
    2**63,
    -(2**64),
    10**39,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
]
TEXTS = [
    "", "x", "fixed", "randomize", "Reroute", "PrimitiveNode", "Note", "LoadImage", "SaveVideo", "StableVideoSample",
    "KSampler", "workflow>a", "\x1b]0;t\x07\x1b[31m", "\u202e\u2066", "\ud800", "\0", "a\nb\rc\u2028d", "%date:yyyy%",
    "%StableVideoSample.seed%", "%a.b.c%", "%" * 99, "../../x", "/etc/passwd", "C:\\x\\y", "a.png [output]", "é" * 3000,
    "3f1c2a52-6a0e-4d8e-8f53-0d1f7f2f9a01", "40:32", "-10", "9" * 5000, "1e999", "[[[[", "null",
]  # fmt: skip


@dataclass(frozen=True)
class Spot:
    """A place in a document: what holds it, and by which key or number."""

    holder: Any
    key: Any

    @property
    def value(self) -> Any:
        return self.holder[self.key]

    def put(self, value: Any) -> None:
        self.holder[self.key] = value


def sources() -> list[Any]:
    """Sound workflows in both forms: the pack's own, and the drawings of the tests."""
    root = TESTS.parent
    files = [*(root / "workflows").glob("*.json"), *(root / "workflows" / "api").glob("*.json")]
    files += (root / "subgraphs").glob("*.json")
    drawn = json.loads((TESTS / "data" / "cases" / "drawn.json").read_text())
    cases = [form for case in drawn.values() for form in (case["document"], case["exports"]["0.33.0"])]
    return [*(json.loads(path.read_text()) for path in sorted(files)), *cases]


def spots(document: Any) -> Iterator[Spot]:
    """Every place, the outermost first."""
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        for key in holder if isinstance(holder, dict) else range(len(holder)):
            yield Spot(holder, key)
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])


def something(draw: random.Random, others: list[Spot]) -> Any:
    """A value of any kind, or one from elsewhere in the document."""
    match draw.randrange(6):
        case 0 | 1:
            return draw.choice(PLAIN)
        case 2:
            return draw.choice(TEXTS)
        case 3:
            return [something(draw, others) for _ in range(draw.randrange(4))]
        case 4:
            return {draw.choice(TEXTS): something(draw, others) for _ in range(draw.randrange(3))}
        case _:
            return copy.deepcopy(draw.choice(others).value)


def damage(draw: random.Random, document: Any) -> None:
    """One change somewhere."""
    places = list(spots(document))
    if not places:
        return
    likely = [spot for spot in places if spot.key in LIKELY]
    spot = draw.choice(likely if likely and draw.random() < 0.5 else places)
    match draw.randrange(8):
        case 0 | 1 | 2:
            spot.put(something(draw, places))
        case 3:
            del spot.holder[spot.key]
        case 4 if isinstance(spot.holder, list):
            spot.holder.insert(spot.key, copy.deepcopy(draw.choice(places).value))
        case 5 if isinstance(spot.holder, dict):
            spot.holder[draw.choice([*TEXTS, *spot.holder])] = spot.holder.pop(spot.key)
        case 6:
            for _ in range(draw.choice([1, 3, 90, 400])):
                spot.put([spot.value])
        case _ if isinstance(spot.value, list):
            draw.shuffle(spot.value)


LIKELY = (
    *(
        "id",
        "type",
        "mode",
        "link",
        "links",
        "inputs",
        "outputs",
        "widgets_values",
        "properties",
        "proxyWidgets",
        "title",
    ),
    *("origin_id", "origin_slot", "target_id", "target_slot", "linkIds", "class_type", "_meta", "subgraphs", "nodes"),
)


def made(seed: int, number: int, documents: list[Any]) -> bytes:
    """The file of a case."""
    draw = random.Random(f"{seed} {number}")
    document = copy.deepcopy(draw.choice(documents))
    try:
        for _ in range(draw.choice([1, 1, 2, 3, 8])):
            damage(draw, document)
        text = json.dumps(document)
    except (RecursionError, ValueError):  # too deep, or inside of itself: not a file
        text = "[" * draw.randrange(100_000)
    data = text.encode(draw.choice(["utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig", "utf-32-be"]))
    if draw.random() < 0.1:
        at = draw.randrange(len(data) + 1)
        data = data[:at] + draw.choice([b"", draw.randbytes(8), b'"', b"{" * 2000]) + data[at + draw.randrange(40) :]
    return data


class Reader:
    """Reads a file as `svd-nodes run` does, up to where the work would begin."""

    def __init__(self, folder: Path) -> None:
        from svd_nodes.headless.catalogue import Catalogue
        from svd_nodes.headless.core_nodes import Workspace
        from svd_nodes.nodes.host.standalone import Session

        self._file = folder / "workflow.json"
        self._session = Session()
        with self._session.active():
            self._catalogue = Catalogue.of(Workspace(folder))

    def fault(self, data: bytes) -> str:
        """What is wrong with how this file is taken, or nothing."""
        from svd_nodes.svd.errors import InputError

        self._file.write_bytes(data)
        try:
            with self._session.active():
                said = self._read()
        except InputError as refusal:
            said = [str(refusal)]
        except BaseException:
            return traceback.format_exc(limit=-4)
        return next((f"said {sentence!r}" for sentence in said if not _is_fit(sentence)), "")

    def _read(self) -> list[str]:
        """The sentences that a user would see."""
        import time

        from svd_nodes.headless.check import review
        from svd_nodes.headless.document import portable
        from svd_nodes.headless.graph import order, parse, read_document
        from svd_nodes.headless.placeholders import filled
        from svd_nodes.headless.settings import read_workflow

        document = read_document(self._file)
        read = read_workflow(document, self._catalogue.infos)
        parse(read.prompt, self._catalogue.infos)
        prompt = filled(read.prompt, time.localtime())
        found = review(parse(prompt, self._catalogue.infos), self._catalogue, read.cuts)
        if not found.problems:
            order(found.graph)
            for node in found.graph.values():
                self._catalogue.values(node)
        for told in (portable(prompt), portable(document)):
            json.loads(json.dumps(told, allow_nan=False))
        return [*read.notes, *found.notes, *found.problems]


def _is_fit(sentence: str) -> bool:
    from svd_nodes.headless.text import printable

    return bool(sentence.strip()) and len(sentence) < 3000 and sentence == printable(sentence)


def work(pipe: Connection, seed: int) -> None:
    """Answers case after case, in a process of its own that may not take more memory than is fair."""
    with tempfile.TemporaryDirectory() as folder:
        reader, documents = Reader(Path(folder)), sources()
        reader.fault(json.dumps(documents[0]).encode())
        _bound_memory()
        pipe.send("ready")
        while (number := pipe.recv()) is not None:
            pipe.send(reader.fault(made(seed, number, documents)))


def _bound_memory() -> None:
    if sys.platform == "linux":
        import resource

        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))


class Worker:
    """The process that reads, started anew when it had to be killed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, self._seed), daemon=True)
        self._process.start()
        theirs.close()
        if self._pipe.recv() != "ready":
            raise RuntimeError("the reader did not start")

    def fault(self, number: int) -> str:
        self._pipe.send(number)
        if self._pipe.poll(SECONDS):
            try:
                return self._pipe.recv()
            except EOFError:
                self._process.join()
                fault = f"the process ended with {self._process.exitcode}"
        else:
            fault = f"took more than {SECONDS:.0f} s"
        self.close()
        self._start()
        return fault

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def faults(numbers: range, seed: int) -> dict[int, str]:
    """What is wrong with each case that is not taken well."""
    worker = Worker(seed)
    try:
        return {number: fault for number in numbers if (fault := worker.fault(number))}
    finally:
        worker.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one case")
    asked = parser.parse_args()
    numbers = range(asked.count) if asked.only is None else range(asked.only, asked.only + 1)
    found = faults(numbers, asked.seed)
    for number, fault in found.items():
        print(f"case {number} of seed {asked.seed}: {fault}")
    print(f"{len(numbers)} cases, {len(found)} faults")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
