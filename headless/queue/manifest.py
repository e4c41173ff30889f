"""What was asked for and what became of it: one JSON file beside the results, whole at every moment.

With it a client that was killed, or that comes back after the server was restarted, knows which clips it has, and
under which ids the server may still know the others.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from filelock import FileLock, Timeout

from ...svd.errors import InputError
from ..files import prepare_folder
from .pictures import Picture
from .plan import Job
from .whole import fault, part, sweep

NAME = "manifest.json"
VERSION = 1
OPTIONS = {"settings": "--set", "seeds": "--seeds"}  # what the manifest calls them, and the command line

State = Literal["waiting", "queued", "done", "failed"]


@dataclass
class Result:
    """A file of a job: its name beside the manifest, where the server has it, and the node that kept it there."""

    file: str
    bytes: int
    sha256: str
    server: dict[str, str]
    node: str = ""


@dataclass
class Record:
    """One job. `prompt_id` is written down before the server is told, so that no handed-over job is ever forgotten.

    owed: the nodes whose results the job is to make, where its others are here already; none: all.
    """

    name: str
    key: str
    picture: str | None = None
    picture_sha256: str | None = None
    picture_suffix: str | None = None
    seed: int | None = None
    state: State = "waiting"
    prompt_id: str | None = None
    seconds: float | None = None
    files: list[Result] = field(default_factory=list)
    error: str | None = None
    owed: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, job: Job) -> "Record":
        record = cls(job.name, job.key, seed=job.seed)
        if job.picture:
            record.picture, record.picture_sha256 = str(job.picture.path), job.picture.sha256
            record.picture_suffix = job.picture.suffix
        return record

    @property
    def kept(self) -> list[Result]:
        """What stays while the job is made again."""
        return [result for result in self.files if result.node not in self.owed] if self.owed else []

    @property
    def known_picture(self) -> Picture | None:
        """Its picture as it was looked at; an older client noted no suffix, and took the file's."""
        if self.picture is None or self.picture_sha256 is None:
            return None
        path = Path(self.picture)
        return Picture(path, self.picture_sha256, self.picture_suffix or path.suffix.lower())


@dataclass
class Manifest:
    """The file's content. `client_id` stays the same over restarts, so that the server's messages find their way."""

    path: Path
    server: str
    asked: dict[str, Any]
    client_id: str
    jobs: list[Record]

    def save(self) -> None:
        """Writes it beside its name first, and renames: it is the old one or the new one, never half of one."""
        content = {"manifest": VERSION, "made_by": "svd-nodes queue", **asdict(self)}
        content.pop("path")
        with part(self.path.parent) as (temporary, file):
            file.write(json.dumps(content, indent=2).encode())
            file.flush()
            os.fsync(file.fileno())
            file.close()
            temporary.replace(self.path)

    def require_same(self, asked: Mapping[str, Any], jobs: Sequence[Job]) -> None:
        """InputError if this manifest was made for other work than these jobs; it names the options that differ."""
        mine = {record.name: (record.key, record.picture_sha256) for record in self.jobs}
        if mine == {job.name: (job.key, job.picture.sha256 if job.picture else None) for job in jobs}:
            return
        now = {"settings": asked["settings"], "seeds": asked["seeds"]}
        other = [OPTIONS[name] for name, value in now.items() if self.asked.get(name) != value]
        if {job.picture.sha256 if job.picture else None for job in jobs} != {job.picture_sha256 for job in self.jobs}:
            other.append("--image")
        raise InputError(
            f"{self.path} is of a queue with {_listed(other) or 'another workflow'}; "
            "give its own command with --resume, or choose another --output."
        )

    @property
    def pictures(self) -> dict[str, Picture]:
        """By path."""
        return {str(picture.path): picture for record in self.jobs if (picture := record.known_picture)}

    def go_on(self) -> None:
        """What had failed waits again, and so does what was done and is not there any more, or was altered."""
        for record in self.jobs:
            if record.state == "failed":
                record.state, record.prompt_id, record.error = "waiting", None, None
                if not (record.files and self._has(record)):
                    record.owed = []  # all of it is made again
            elif record.state == "done" and not self._has(record):
                again = bool(record.owed)  # made in two jobs, of which one id is known
                record.state, record.files, record.owed = "waiting" if again else "queued", [], []
                record.prompt_id = None if again else record.prompt_id  # the server may still have them

    def _has(self, record: Record) -> bool:
        """Whether its files are still there, as they came."""
        return all(_is(self.path.parent / result.file, result) for result in record.files)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is(path: Path, result: Result) -> bool:
    """Whether it is there, unaltered, and was whole when it came: an older client noted down whatever came."""
    if not path.is_file() or path.stat().st_size != result.bytes or sha256_of(path) != result.sha256:
        return False
    return fault(path, path.suffix) is None


def _listed(options: Sequence[str]) -> str:
    return f"another {' and another '.join(options)}" if options else ""


def new(folder: Path, server: str, asked: Mapping[str, Any], client_id: str, jobs: Sequence[Job]) -> Manifest:
    """One in which every job waits. InputError if the folder has one already."""
    path = folder / NAME
    if path.exists():
        raise InputError(f"{path} is of an earlier queue: finish that with --resume, or choose another --output.")
    return Manifest(path, server, dict(asked), client_id, list(map(Record.of, jobs)))


def read(folder: Path) -> Manifest:
    """The one that is there. InputError if there is none, or if it cannot be read."""
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("manifest") != VERSION:
            raise InputError(f"{path} was made by another version of svd-nodes; finish it with that one.")
        content.pop("made_by")
        jobs = [Record(**job | {"files": [Result(**file) for file in job["files"]]}) for job in content.pop("jobs")]
        manifest = Manifest(path=path, jobs=jobs, **content)
        _check(manifest)
        return manifest
    except FileNotFoundError:
        raise InputError(f"There is nothing to resume: {folder} has no {NAME}; leave out --resume.") from None
    except IsADirectoryError:
        what = "it is a folder"
    except RecursionError:
        what = "too deep to read"
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # JSON's and Unicode's are ValueErrors
        what = str(error)
    raise InputError(f"{path} is no manifest of svd-nodes ({what}); choose another --output.")


def _check(manifest: Manifest) -> None:
    """ValueError that names the first value which no manifest has. Its fields are all there, or it would not exist."""
    _check_kinds(manifest, "manifest")
    if not isinstance(manifest.asked.get("settings"), list) or not isinstance(manifest.asked.get("seeds"), list):
        raise ValueError("asked has no settings or no seeds")
    if len({record.name for record in manifest.jobs}) < len(manifest.jobs):
        raise ValueError("two jobs have one name")
    for record in manifest.jobs:
        _check_kinds(record, "a job")
        if record.state not in get_args(State):
            raise ValueError(f"the state of {record.name} is {record.state!r:.40}")
        if record.state == "queued" and not record.prompt_id:
            raise ValueError(f"{record.name} is queued without an id")
        if record.state == "done" and not record.files:
            raise ValueError(f"{record.name} is done without a file")
        for result in record.files:
            _check_kinds(result, "a file")
            if not result.file or Path(result.file).name != result.file or "\0" in result.file:
                raise ValueError(f"{record.name} has a file called {result.file!r:.40}")


def _check_kinds(part: Manifest | Record | Result, what: str) -> None:
    for name, hint in get_type_hints(type(part)).items():
        value = getattr(part, name)
        if not isinstance(value, _kinds(hint)) or isinstance(value, bool):
            raise ValueError(f"{name} of {what} is {value!r:.40}")


def _kinds(hint: Any) -> tuple[type, ...]:
    """What `isinstance` takes for a field's annotation; JSON does not tell whole floats from integers."""
    if isinstance(hint, UnionType):
        return tuple(kind for each in get_args(hint) for kind in _kinds(each))
    if get_origin(hint) is Literal:
        return (str,)
    return (int, float) if hint is float else (get_origin(hint) or hint,)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a second client away from this folder's manifest, on this machine; a client that dies lets go of it.

    The folder is made if need be. If there is no manifest in the end, nothing else that was made here is left.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    prepare_folder(folder)
    lock = FileLock(folder / f".{NAME}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"Another svd-nodes queue is at work in {folder}; wait, or choose another --output.") from None
    try:
        sweep(folder)
        yield
    finally:
        with suppress(OSError):  # whatever keeps them from being taken away again, they do no harm
            if not (folder / NAME).exists():
                Path(lock.lock_file).unlink()
                for path in made:
                    path.rmdir()
        lock.release()
