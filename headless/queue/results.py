"""From what the server says of a finished workflow to named files here."""

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..files import publish
from .connection import UnexpectedAnswer
from .manifest import Record, Result, sha256_of
from .outcome import File
from .pictures import slug
from .server import FOLDER, EditorServer
from .whole import ending, fault, is_page, is_whole, part
from .words import SHOWN

FILM_SUFFIXES = {"SaveVideo": ".mp4", "SaveAnimatedWEBP": ".webp"}  # nodes that write one file, and no other kind
TRIES = 9  # files of one name that are looked at


@dataclass
class Fetched:
    """Files that came home, and a sentence for each that did not, by the node that kept it."""

    results: list[Result] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)


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


def fetch(
    server: EditorServer, files: Mapping[str, Sequence[File]], folder: Path, name: str, own: Container[str], kept: int
) -> Fetched:
    """Downloads a job's files as NAME.mp4, or as NAME_00001.png, NAME_00002.png, ... where there are several.

    Each appears when it is whole, under its name, or the next free number of it where that is somebody else's: only
    files named in `own`, and equal ones, are replaced. Its ending is that of what it holds.
    files: by the node that kept them there.
    kept: so many files of this job are here already, and stay.
    Raises:
        UnexpectedAnswer: the server sends a web page in place of one.
        OSError: one cannot be written.
    """
    fetched = Fetched()
    several = kept + sum(map(len, files.values())) > 1
    every = ((node, file) for node, each in files.items() for file in each)
    for number, (node, file) in enumerate(every, kept + 1):
        stem = f"{name}_{number:05}" if several else name
        try:
            fetched.results.append(_brought(server, node, file, folder, stem, own))
        except _NotWhole as error:
            fetched.faults[node] = f"the server's file {file['filename'][:SHOWN]} {error}"
    return fetched


class _NotWhole(Exception):
    """A file that the server has not, or not to its end; a clause."""


def _brought(server: EditorServer, node: str, file: File, folder: Path, stem: str, own: Container[str]) -> Result:
    told = PurePosixPath(file["filename"]).suffix
    with part(folder) as (temporary, target):
        sha256 = server.download(file, target.write)
        target.close()
        if sha256 is None:
            raise _NotWhole("is not there any more")
        if is_page(temporary):  # it concerns all files, and is gone when somebody has logged in
            shown = file["filename"][:SHOWN]
            raise UnexpectedAnswer(f"What the server at {server.where} sent as {shown} is a web page.")
        if what := fault(temporary, told):
            raise _NotWhole(f"is {what}; with --resume it is made again")
        size = temporary.stat().st_size
        path = folder / f"{stem}{ending(temporary, told)}"
        path = publish(temporary, path, overwrite=path.name in own or _holds(path, sha256))
    return Result(path.name, size, sha256, file, node)


def _holds(path: Path, sha256: str) -> bool:
    """Whether a file is there and has this content: one whose download was not noted down any more."""
    return path.is_file() and sha256_of(path) == sha256


def left_behind(
    server: EditorServer, prompt: Mapping[str, Any], record: Record, wanted: Collection[str], folder: Path
) -> dict[str, list[File]]:
    """The films that a job has left on a server that was restarted since and remembers nothing.

    Empty unless every film of `wanted`, the nodes that keep a result, is there and whole. Of pictures nobody could
    say how many there should be.
    """
    found: dict[str, list[File]] = {}
    for id in wanted:
        suffix = FILM_SUFFIXES.get(prompt[id]["class_type"])
        film = next(_whole_films(server, PurePosixPath(_prefix(record, id)), suffix, folder), None) if suffix else None
        if film is None:
            return {}
        found[id] = [film]
    return found


def _whole_films(server: EditorServer, prefix: PurePosixPath, suffix: str, folder: Path) -> Iterator[File]:
    for number in range(1, TRIES + 1):
        file = {"filename": f"{prefix.name}_{number:05}_{suffix}", "subfolder": str(prefix.parent), "type": "output"}
        with part(folder) as (path, target):
            if server.download(file, target.write) is None:
                return
            target.flush()
            if is_whole(path):
                yield file
