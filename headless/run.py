"""Runs a saved workflow: reads it, applies settings, checks it, executes it."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..nodes.host.standalone import Session, default_folders
from ..svd.errors import InputError
from .catalogue import Catalogue
from .check import Cuts, review
from .core_nodes import PICTURES, Workspace
from .device import open_device
from .document import portable
from .execute import Watch, execute
from .files import prepare_folder
from .graph import is_editor_form, parse, read_document
from .placeholders import filled
from .settings import changed, read_setting, read_workflow

log = logging.getLogger("svd_nodes")


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
        prompt, cuts = _read(document, job)
        beside = job.workflow.resolve().parent
        inputs = (Path(), Path("input"), beside, beside / "input", PICTURES)
        metadata = {"prompt": portable(prompt)}
        if is_editor_form(document) and not job.settings:  # with settings, the drawing would show other values
            metadata["workflow"] = portable(document)
        catalogue = Catalogue.of(Workspace(job.output, inputs, metadata))
        found = review(parse(prompt, catalogue.infos), catalogue, cuts)
        if found.problems:
            raise WorkflowError(found.problems)
        for note in found.notes:
            log.warning(note)
        prepare_folder(job.output)
        return execute(found.graph, catalogue, watch)


def _read(document: dict[str, Any], job: Job) -> tuple[dict[str, Any], Cuts]:
    """The workflow in its API form with the settings in it, and the inputs that lost their links."""
    infos = Catalogue.of(Workspace(job.output)).infos
    read = read_workflow(document, infos)
    for note in read.notes:
        log.warning(note)
    graph = parse(read.prompt, infos)
    prompt = changed(read.prompt, (read_setting(setting, graph, infos) for setting in job.settings))
    return filled(prompt, time.localtime()), read.cuts
