"""What became of a workflow that is over, as the server's history tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

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
            words = str(data["exception_message"]).strip()
            return Fault(str(data["node_id"]), str(data.get("node_type", "")), words)
    return Fault()


def _files(history: Mapping[str, Any]) -> list[File]:
    outputs = history.get("outputs", {}).values()
    lists = (value for output in outputs for value in output.values() if isinstance(value, list))
    told = [item for items in lists for item in items if isinstance(item, dict) and _is_name(item.get("filename"))]
    files = [{key: value for key, value in item.items() if isinstance(value, str)} for item in told]
    return [file for file in files if file.get("type") == "output"] or files


def _is_name(name: object) -> bool:
    """Whether this can name a file, whose ending the one at home will have."""
    return (
        isinstance(name, str)
        and name != ""
        and name.isprintable()
        and (PurePosixPath(name).suffix[1:] or "none").isalnum()
    )
