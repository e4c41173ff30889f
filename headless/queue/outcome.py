"""What became of a workflow that is over, as the server's history tells it."""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

ENDING, PATH = 16, 1024  # characters of a file's ending, and of a path, at most
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
        return f'node {self.node} "{title}": {self.words}'


@dataclass(frozen=True)
class Outcome:
    """`fault` is None when it ended well; `seconds`: how long the server worked on it, if it says so.

    files: what it has kept; where it kept nothing, what it only showed.
    """

    fault: Fault | None
    seconds: float | None
    files: list[File]

    @classmethod
    def read(cls, history: Mapping[str, Any]) -> Self:
        """From one entry of the history. One of another shape raises what looking into it raises."""
        status = history.get("status") or {}
        messages = [(str(kind), dict(data)) for kind, data in status.get("messages", [])]
        times = [float(data["timestamp"]) for _, data in messages if "timestamp" in data]
        times = times if all(map(math.isfinite, times)) else []
        return cls(
            fault=None if status.get("completed") else _fault(messages),
            seconds=round((max(times) - min(times)) / 1000, 3) if times else None,
            files=_files(history),
        )


def _fault(messages: list[tuple[str, dict[str, Any]]]) -> Fault:
    for kind, data in reversed(messages):
        if kind == "execution_interrupted":
            return Fault(cancelled=True)
        if kind == "execution_error":
            words = _plain(data["exception_message"]).strip()
            return Fault(_plain(data["node_id"]), _plain(data.get("node_type", "")), words)
    return Fault()


def _plain(words: object) -> str:
    """Without what a terminal would obey."""
    return "".join(c for c in str(words) if c == "\n" or not unicodedata.category(c).startswith("C"))


def _files(history: Mapping[str, Any]) -> list[File]:
    outputs = history.get("outputs", {}).values()
    lists = (value for output in outputs for value in output.values() if isinstance(value, list))
    told = [item for items in lists for item in items if isinstance(item, dict)]
    files = [{key: value for key, value in item.items() if isinstance(value, str)} for item in told]
    files = [file for file in files if _can_be(file)]
    return [file for file in files if file.get("type") == "output"] or files


def _can_be(file: File) -> bool:
    folder = file.get("subfolder", ""), file.get("type", "")
    return _is_name(file.get("filename", "")) and all(map(_is_path, folder))


def _is_name(name: str) -> bool:
    """Whether this can name a file, whose ending the one at home will have."""
    ending = PurePosixPath(name).suffix[1:]
    return name != "" and _is_path(name) and len(ending) <= ENDING and (ending or "none").isalnum()


def _is_path(text: str) -> bool:
    return text.isprintable() and len(text) <= PATH
