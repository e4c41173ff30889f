"""What became of a workflow that is over, as the server's history tells it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from .words import one_line, plain

NAME, PATH = 255, 1024  # characters of a file's name, and of its folder, at most
MOST_FILES = 20_000  # of one workflow
File = dict[str, str]  # filename, subfolder and type, as /view takes them


@dataclass(frozen=True)
class Fault:
    """What ended a workflow: the node by id and kind, and its words. All empty where the server does not say."""

    node: str = ""
    kind: str = ""
    words: str = ""
    cancelled: bool = False

    def sentence(self, prompt: Mapping[str, Any]) -> str:
        """In the server's words, with the node in front."""
        if self.cancelled:
            return "it was cancelled on the server"
        if not self.node:
            return "the server does not say why"
        title = prompt.get(self.node, {}).get("_meta", {}).get("title") or self.kind or "?"
        return f'node {self.node} "{one_line(title)}": {self.words}'


@dataclass(frozen=True)
class Outcome:
    """`fault` is None when it ended well; `seconds`: how long the server worked on it, if it says so.

    files: by node, what it has kept; where nothing was kept at all, what was only shown.
    ran: the nodes whose results were asked for and found fit to run; None where the server does not say.
    """

    fault: Fault | None
    seconds: float | None
    files: Mapping[str, list[File]]
    ran: frozenset[str] | None = None

    @classmethod
    def read(cls, history: Mapping[str, Any], told: Callable[[str], str] = str) -> Self:
        """From one entry of the history. One of another shape raises what looking into it raises.

        told: makes words of the server's fit to be shown.
        """
        status = history.get("status") or {}
        messages = [(str(kind), dict(data)) for kind, data in status.get("messages", [])]
        times = [float(data["timestamp"]) for _, data in messages if "timestamp" in data]
        times = times if all(map(math.isfinite, times)) else []
        well = bool(status.get("completed")) and status.get("status_str", "success") == "success"
        return cls(
            fault=None if well else _fault(messages, told),
            seconds=round((max(times) - min(times)) / 1000, 3) if times else None,
            files=_files(history),
            ran=_ran(history.get("prompt")),
        )


def _fault(messages: list[tuple[str, dict[str, Any]]], told: Callable[[str], str]) -> Fault:
    for kind, data in reversed(messages):
        if kind == "execution_interrupted":
            return Fault(cancelled=True)
        if kind == "execution_error":
            words = told(plain(data["exception_message"]).strip())
            return Fault(one_line(data["node_id"]), one_line(data.get("node_type", "")), words)
    return Fault()


def _ran(queued: Any) -> frozenset[str] | None:
    """From the job as it stood in the queue: number, id, workflow, more data, nodes whose results were to be made."""
    if not isinstance(queued, list) or len(queued) < 5 or not isinstance(queued[4], list):
        return None
    return frozenset(map(str, queued[4]))


def _files(history: Mapping[str, Any]) -> dict[str, list[File]]:
    files: dict[str, list[File]] = {}
    for node, output in history.get("outputs", {}).items():
        lists = (value for value in output.values() if isinstance(value, list))
        told = [item for items in lists for item in items if isinstance(item, dict)]
        told = [{key: value for key, value in item.items() if isinstance(value, str)} for item in told]
        files[str(node)] = [file for file in told if _can_be(file)]
    if sum(map(len, files.values())) > MOST_FILES:
        raise ValueError("more files than anybody makes")
    kept = {node: [file for file in each if file.get("type") == "output"] for node, each in files.items()}
    return {node: each for node, each in (kept if any(kept.values()) else files).items() if each}


def _can_be(file: File) -> bool:
    """Whether this can name a file there."""
    folder = file.get("subfolder", ""), file.get("type", "")
    name = file.get("filename", "")
    return name != "" and len(name) <= NAME and all(map(_is_path, (name, *folder)))


def _is_path(text: str) -> bool:
    return text.isprintable() and len(text) <= PATH
