"""From what the server says of a finished workflow to named files here."""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..files import publish
from .manifest import Record, Result, sha256_of
from .outcome import File
from .plan import slug
from .server import FOLDER, SHOWN, EditorServer, Strange
from .whole import fault, is_page, is_whole

FILM_SUFFIXES = {"SaveVideo": ".mp4", "SaveAnimatedWEBP": ".webp"}  # nodes that write one file, and no other kind
TRIES = 9  # files of one name that are looked at


class NoResult(Exception):
    """A workflow that ended well left nothing to bring home; one sentence."""


def named(prompt: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """The workflow with the job's own names for the files it writes there, so that they can be told apart."""
    return {
        id: {**node, "inputs": {**node["inputs"], "filename_prefix": _prefix(record, id)}} if _saves(node) else node
        for id, node in prompt.items()
    }


def _saves(node: Mapping[str, Any]) -> bool:
    return isinstance(node.get("inputs", {}).get("filename_prefix"), str)


def _prefix(record: Record, node: str) -> str:
    return f"{FOLDER}/{slug(record.name)}-{record.prompt_id}-{slug(node)}"


def fetch(server: EditorServer, files: list[File], folder: Path, name: str, own: Container[str]) -> list[Result]:
    """Downloads a job's files as NAME.mp4, or as NAME_00001.png, NAME_00002.png, ... where there are several.

    Each appears when it is whole, under its name, or the next free number of it where that is somebody else's: only
    files named in `own`, and equal ones, are replaced.
    Raises:
        NoResult: there are none, or the server does not have them any more, or not to their end.
        Strange: it sends a web page in place of one.
        OSError: one cannot be written.
    """
    if not files:
        raise NoResult("the workflow ended without a file; add a node such as Save Video at its end")
    results = []
    for number, file in enumerate(files, 1):
        suffix = PurePosixPath(file["filename"]).suffix
        path = folder / (f"{name}{suffix}" if len(files) == 1 else f"{name}_{number:05}{suffix}")
        temporary = path.with_name(f".{path.name}.part")
        try:
            with temporary.open("wb") as target:
                sha256 = server.download(file, target.write)
            if sha256 is None:
                raise NoResult(f"the server does not have its file {file['filename'][:SHOWN]} any more")
            _require_whole(temporary.read_bytes(), file["filename"][:SHOWN], suffix, server)
            size = temporary.stat().st_size
            path = publish(temporary, path, overwrite=path.name in own or _holds(path, sha256))
        finally:
            temporary.unlink(missing_ok=True)
        results.append(Result(path.name, size, sha256, file))
    return results


def _require_whole(data: bytes, name: str, suffix: str, server: EditorServer) -> None:
    """A page concerns all files, and is gone when somebody has logged in; a broken file has to be made again."""
    if is_page(data, suffix):
        raise Strange(f"What the server at {server.url} sent as {name} is a web page.")
    if what := fault(data, suffix):
        raise NoResult(f"the server's file {name} is {what}; with --resume it is made again")


def _holds(path: Path, sha256: str) -> bool:
    """Whether a file is there and has this content: one whose download was not noted down any more."""
    return path.is_file() and sha256_of(path) == sha256


def left_behind(server: EditorServer, prompt: Mapping[str, Any], record: Record) -> list[File]:
    """The films that a job has left on a server that was restarted since and remembers nothing.

    Empty unless every film is there and whole. Of pictures nobody could say how many there should be.
    """
    found: list[File] = []
    for id, node in prompt.items():
        if _saves(node):
            suffix = FILM_SUFFIXES.get(node["class_type"])
            film = next(_whole_films(server, PurePosixPath(_prefix(record, id)), suffix), None) if suffix else None
            if film is None:
                return []
            found.append(film)
    return found


def _whole_films(server: EditorServer, prefix: PurePosixPath, suffix: str) -> Iterator[File]:
    for number in range(1, TRIES + 1):
        file = {"filename": f"{prefix.name}_{number:05}_{suffix}", "subfolder": str(prefix.parent), "type": "output"}
        data = bytearray()
        if server.download(file, data.extend) is None:
            return
        if is_whole(bytes(data)):
            yield file
