"""Runs a saved workflow: reads it, applies settings, checks it, executes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..nodes.host.standalone import Session, default_folders
from ..svd.errors import InputError
from .catalogue import Catalogue
from .check import find_problems
from .core_nodes import PICTURES, Workspace
from .device import open_device
from .execute import Watch, execute
from .files import prepare_folder
from .graph import Graph, is_editor_form, parse, read_document
from .settings import changed, read_prompt, read_setting


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
    prompt = read_prompt(document, infos)
    graph = parse(prompt, infos)
    prompt = changed(prompt, (read_setting(setting, graph, infos) for setting in job.settings))
    return prompt, parse(prompt, infos)
