"""What there is to do: every picture with every seed, each as a workflow that the server can run."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from ...svd.errors import InputError
from ..files import name_problem
from ..graph import Graph, Info, Node, parse
from ..settings import Change, changed, read_prompt, read_setting
from ..values import Spec, not_a_choice, out_of_range, specs
from .pictures import Picture

LOADER = "StableVideoLoadCheckpoint"
MOST = 10_000  # jobs; the editor's own memory of what it has done goes no further back
DIGITS = 20  # of the largest seed, 2**64 - 1
SEEDS = ("seed", "noise_seed")  # what the editor takes for seeds even where a node does not say so


@dataclass(frozen=True)
class Job:
    """One run of the workflow. `key` is the same for the same work, whenever and wherever it is asked for."""

    name: str
    prompt: Mapping[str, Any]
    picture: Picture | None = None
    seed: int | None = None
    outputs: Sequence[str] = ()  # the nodes that keep a result

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(self.prompt, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Asked:
    """What the user wants: a workflow with `settings` (NODE.input=value), run for each picture and each seed.

    image_node: the node that the pictures go to, by id, title or kind; None: the only one there is.
    """

    settings: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    seeds: Sequence[int] = ()
    image_node: str | None = None


def read_seeds(text: str) -> list[int]:
    """ "1-8,20" -> 1 to 8, and 20. InputError on anything else, or on a seed given twice."""
    seeds: list[int] = []
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InputError(f'"--seeds {shown}" is not of the form 1-8 or 3,5,7.')
        if max(len(first), len(last)) > DIGITS:
            raise InputError(f'"--seeds {shown}": a seed has {DIGITS} digits at most.')
        low, high = int(first), int(last or first)
        if low > high:
            raise InputError(f'"--seeds {shown}": {low}-{high} runs backwards; write {high}-{low}.')
        if len(seeds) + high - low >= MOST:
            raise InputError(f'"--seeds {shown}" means more than {MOST:,} clips of a picture; ask for fewer at a time.')
        seeds.extend(range(low, high + 1))
    if twice := [seed for seed, count in Counter(seeds).items() if count > 1]:
        raise InputError(f'"--seeds {shown}" holds {twice[0]} twice; leave one out.')
    return seeds


def plan(document: Mapping[str, Any], infos: Mapping[str, Info], asked: Asked) -> list[Job]:
    """Every job, picture after picture and seed after seed.

    infos: the server's /object_info, so that a workflow may use any node that the server has.
    Raises:
        InputError: the workflow cannot be read, uses nodes that the server lacks, or has no place for what was asked.
    """
    prompt = _without_notes(read_prompt(document, infos))
    graph = parse(prompt, infos)
    if missing := [node for node in graph.values() if node.class_type not in infos]:
        raise InputError("\n".join(map(_not_there, missing)))
    changes = [read_setting(setting, graph, infos) for setting in asked.settings]
    prompt = changed(prompt, changes)
    prompt = changed(prompt, _spelled_as_there(parse(prompt, infos), infos))
    graph = parse(prompt, infos)
    if odd := next((node for node in graph.values() if _has_no_json(node.inputs)), None):
        raise InputError(f"{odd} holds a number that is none (NaN or infinity); set it to another with --set.")
    if lacking := next(filter(None, (_no_checkpoint(node, infos) for node in graph.values())), None):
        raise InputError(lacking)
    place = _picture_place(graph, infos, asked) if asked.pictures else None
    seeds = _seed_places(graph, infos, changes, asked.seeds) if asked.seeds else []
    outputs = tuple(node.id for node in graph.values() if _keeps(node, infos))
    jobs = list(_combinations(prompt, asked, place, seeds, outputs))
    if len(jobs) > MOST:
        raise InputError(f"That makes {len(jobs):,} clips; ask for at most {MOST:,} at a time.")
    if sentence := next(filter(None, (name_problem(Path(job.name)) for job in jobs)), None):
        raise InputError(sentence)
    return jobs


def _combinations(
    prompt: Mapping[str, Any],
    asked: Asked,
    place: tuple[str, str] | None,
    seeds: Sequence[tuple[str, str]],
    outputs: Sequence[str],
) -> Iterator[Job]:
    stems = _stems(asked.pictures)
    pictures: Sequence[Picture | None] = asked.pictures or [None]
    numbers: Sequence[int | None] = asked.seeds or [None]
    for picture in pictures:
        for seed in numbers:
            changes: list[Change] = [(*seed_place, seed) for seed_place in seeds]
            if picture and place:
                changes.append((*place, f"svd-queue/{picture.remote}"))
            words = [stems[picture.sha256] if picture else "clip", *([] if seed is None else [f"seed{seed}"])]
            yield Job("_".join(words), changed(prompt, changes), picture, seed, outputs)


def _stems(pictures: Sequence[Picture]) -> dict[str, str]:
    """What the results of each picture are called: its own name, with a number where two have the same."""
    stems: dict[str, str] = {}
    for picture in pictures:
        own = "".join(c if c.isprintable() else "_" for c in picture.path.stem)
        stem, number = own, 1
        while stem.casefold() in map(str.casefold, stems.values()):
            number += 1
            stem = f"{own}_{number}"
        stems[picture.sha256] = stem
    return stems


def _without_notes(prompt: Mapping[str, Any]) -> dict[str, Any]:
    """Without "is_changed", which the server that ran a workflow has noted in its nodes. It may be NaN."""
    return {
        id: {name: value for name, value in entry.items() if name != "is_changed"} if isinstance(entry, dict) else entry
        for id, entry in prompt.items()
    }


def _has_no_json(value: Any) -> bool:
    """Whether NaN or infinity is in it, which JSON has no words for."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return (isinstance(value, float) and not math.isfinite(value)) or any(map(_has_no_json, parts))


def _spelled_as_there(graph: Graph, infos: Mapping[str, Info]) -> Iterator[Change]:
    """The names of files that the server lists with the other slash: it may run on another system."""
    for node, name, spec in _widgets(graph, infos):
        value = node.inputs[name]
        if spec.type == "COMBO" and isinstance(value, str) and value not in spec.choices:
            same = [choice for choice in spec.choices if _slashed(choice) == _slashed(value)]
            if len(same) == 1:
                yield node.id, name, same[0]


def _slashed(name: object) -> str | None:
    return PureWindowsPath(name).as_posix() if isinstance(name, str) else None


def _keeps(node: Node, infos: Mapping[str, Info]) -> bool:
    """Whether a node writes a result to the server's disk."""
    return bool(infos[node.class_type].get("output_node")) and isinstance(node.inputs.get("filename_prefix"), str)


def _not_there(node: Node) -> str:
    what = "install svd-nodes there" if node.class_type.startswith("StableVideo") else "install its pack there"
    return f'{node} is of the kind "{node.class_type}", which the server does not have: {what} and restart it.'


def _no_checkpoint(node: Node, infos: Mapping[str, Info]) -> str | None:
    """One sentence when the server does not have the checkpoint that this node loads."""
    spec = specs(infos[node.class_type]).get("checkpoint")
    name = node.inputs.get("checkpoint")
    if node.class_type != LOADER or spec is None or not isinstance(name, str) or not not_a_choice(spec, name):
        return None
    there = ", ".join(map(str, spec.choices[:8])) or "none"
    return (
        f'{node}: the server has no checkpoint "{name}": put it in models/checkpoints there, or choose one that it '
        f"has with --set {node.id}.checkpoint=NAME ({there})."
    )


def _picture_place(graph: Graph, infos: Mapping[str, Info], asked: Asked) -> tuple[str, str]:
    """(node id, input) that the pictures go to: the widget with the upload button."""
    places = [(node, name) for node, name, spec in _widgets(graph, infos) if spec.options.get("image_upload")]
    wanted = (asked.image_node or "").casefold()
    if wanted:
        chosen = [p for p in places if wanted in (p[0].id, p[0].title.casefold(), p[0].class_type.casefold())]
    else:
        chosen = [p for p in places if p[0].class_type == "LoadImage"] or places
    if len(chosen) == 1:
        return chosen[0][0].id, chosen[0][1]
    names = ", ".join(f'{node.id} "{node.title}"' for node, _ in places)
    if not places:
        raise InputError("This workflow loads no picture, so --image has no place in it; add a Load Image node.")
    if asked.image_node and not chosen:
        raise InputError(f'No node called "{asked.image_node}" loads a picture; use one of: {names}.')
    raise InputError(f"Several nodes load a picture; say with --image-node which one gets --image: {names}.")


def _seed_places(
    graph: Graph, infos: Mapping[str, Info], changes: Sequence[Change], seeds: Sequence[int]
) -> list[tuple[str, str]]:
    """Every (node id, input) that holds a seed, but for those that the user has set otherwise."""
    fixed = {(id, name) for id, name, _ in changes}
    found = [(node, spec) for node, _, spec in _widgets(graph, infos) if _is_seed(spec)]
    places = [(node.id, spec.name) for node, spec in found if (node.id, spec.name) not in fixed]
    if not places:
        raise InputError("Nothing in this workflow takes --seeds; leave it out, or leave out the --set of its seed.")
    for node, spec in found:
        if (node.id, spec.name) in places and (fault := out_of_range(spec, max(seeds))):
            raise InputError(f"--seeds: {spec.name} of {node} {fault}.")
    return places


def _is_seed(spec: Spec) -> bool:
    return spec.type == "INT" and bool(spec.options.get("control_after_generate") or spec.name in SEEDS)


def _widgets(graph: Graph, infos: Mapping[str, Info]) -> Iterator[tuple[Node, str, Spec]]:
    """Every value of the workflow that is not linked, with what its node says about it."""
    for node in graph.values():
        for name, spec in specs(infos[node.class_type]).items():
            if name in node.inputs and name not in node.links:
                yield node, name, spec
