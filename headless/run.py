"""Runs a saved workflow: reads it, applies settings, checks it, executes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from ..nodes.host.standalone import Session, default_folders
from ..svd.errors import InputError
from .catalogue import Catalogue
from .check import find_problems
from .core_nodes import PICTURES, Workspace
from .device import open_device
from .editor import to_api
from .execute import Watch, execute
from .files import prepare_folder
from .graph import Graph, Node, is_editor_form, parse, read_document
from .values import from_text, specs


class WorkflowError(InputError):
    """A workflow cannot run; `problems` holds one sentence for each fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Job:
    """What to run. `settings` are texts of the form NODE.input=value; NODE is an id, a title or a kind of node."""

    workflow: Path
    settings: Sequence[str] = ()
    output: Path = Path("output")
    checkpoint_folders: Sequence[Path] = ()  # searched before the usual ones
    device: str | None = None  # None: the first CUDA card, else the CPU


def run(job: Job, watch: Watch) -> list[Path]:
    """Runs a workflow in this process.

    Returns: the files it wrote.
    Raises:
        WorkflowError: the workflow cannot run; nothing was executed or written.
        InputError: a file or folder cannot be used, or a node refused what it was given.
        NonFiniteError, MemoryError: from a node, with the node's name in front.
    """
    document = read_document(job.workflow)
    folders = (*job.checkpoint_folders, *default_folders())
    session = Session(folders, open_device(job.device), watch.stepped)
    with session.active(), torch.inference_mode():
        prompt, graph = _read(document, job)
        beside = job.workflow.resolve().parent
        inputs = (Path(), Path("input"), beside, beside / "input", PICTURES)
        metadata = {"prompt": prompt}
        if is_editor_form(document) and not job.settings:  # with settings, the drawing would show other values
            metadata["workflow"] = document
        catalogue = Catalogue.of(Workspace(job.output, inputs, metadata))
        if problems := find_problems(graph, catalogue):
            raise WorkflowError(problems)
        prepare_folder(job.output)
        return execute(graph, catalogue, watch)


def _read(document: dict[str, Any], job: Job) -> tuple[dict[str, Any], Graph]:
    """The workflow in its API form with the settings in it, and as nodes."""
    infos = Catalogue.of(Workspace(job.output)).infos
    prompt = to_api(document, infos) if is_editor_form(document) else document
    if isinstance(prompt.get("prompt"), dict) and "class_type" not in prompt["prompt"]:
        prompt = prompt["prompt"]  # the body of a POST /prompt
    graph = parse(prompt, infos)
    for setting in job.settings:
        id, name, value = _setting(setting, graph, infos)
        prompt = {**prompt, id: {**prompt[id], "inputs": {**prompt[id].get("inputs", {}), name: value}}}
    return prompt, parse(prompt, infos)


def _setting(setting: str, graph: Graph, infos: dict[str, Any]) -> tuple[str, str, Any]:
    """Reads NODE.input=value as (node id, input, value in the input's type)."""
    target, equals, text = setting.partition("=")
    who, dot, name = target.strip().rpartition(".")
    if not (equals and dot and who and name):
        raise InputError(
            f'"--set {setting}" is not of the form NODE.input=value, such as "SaveVideo.filename_prefix=clip".'
        )
    wanted = who.casefold()
    nodes = (
        [graph[who]]
        if who in graph
        else [node for node in graph.values() if wanted in (node.title.casefold(), node.class_type.casefold())]
    )
    if len(nodes) != 1:
        raise InputError(f'"--set {setting}": {_not_one(who, nodes, graph)}')
    node = nodes[0]
    if node.class_type == "StableVideoSample" and name == "steps" and "sigmas" in node.links:
        source = node.links["sigmas"].node
        raise InputError(
            f'"--set {setting}" would have no effect, as the sigmas of node {source} are connected; '
            f'use "--set {source}.steps={text}".'
        )
    known = specs(infos[node.class_type]) if node.class_type in infos else {}
    boxes = [spec.name for spec in known.values() if spec.is_widget]
    if name not in boxes:
        raise InputError(f'"--set {setting}": {node} has no value "{name}"; it has {", ".join(boxes) or "none"}.')
    try:
        return node.id, name, from_text(known[name], text)
    except InputError as clause:
        raise InputError(f'"--set {setting}": {name} {clause}.') from None


def _not_one(who: str, nodes: Sequence[Node], graph: Graph) -> str:
    """Why a name is not that of one node, and what to do."""
    names = {name.casefold(): name for node in graph.values() for name in (node.title, node.class_type)}
    if not nodes and (close := get_close_matches(who.casefold(), names, n=1)):
        return f'no node is called "{who}"; did you mean {names[close[0]]}?'
    what = f"{len(nodes)} nodes are" if nodes else "no node is"
    choices = ", ".join(f'{node.id} "{node.title}" ({node.class_type})' for node in nodes or graph.values())
    return f'{what} called "{who}"; use one of these ids: {choices}.'
