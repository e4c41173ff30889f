"""One call of `svd-nodes queue`: the jobs, the manifest and the server brought together, and how it ends."""

import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from ...svd.errors import InputError
from ..graph import Info, read_document
from ..sentences import BAD_INPUT, FAILED, INTERRUPTED, fail
from . import manifest
from .address import TOKEN, Address, Secrets
from .bars import QueueBars
from .connection import Connection, UnexpectedAnswer, Unreachable
from .manifest import Manifest
from .pictures import read_pictures
from .plan import Asked, Job, plan, read_seeds
from .server import OTHER_SHAPE, EditorServer, Refused
from .timing import Timing
from .trust import trusted
from .words import plain
from .work import AwayTooLong, Work

GO_ON = "To go on, give the same command with --resume."
TIMING = Timing()


@dataclass(frozen=True)
class Options:
    """What the command line says. `patience`: seconds to wait for a server that went away."""

    workflow: Path
    server: str
    images: Sequence[Path] = ()
    settings: Sequence[str] = ()
    seeds: str | None = None
    image_node: str | None = None
    output: Path = Path("output")
    resume: bool = False
    patience: float = 300.0
    headers: Sequence[str] = ()
    ca: Path | None = None
    timing: Timing = field(default_factory=lambda: TIMING)


def start(options: Options) -> None:
    """Makes the clips, prints their files, and ends with a sentence for each that failed."""
    with _fit_to_be_shown():
        _start(options)


def _start(options: Options) -> None:
    seeds = read_seeds(options.seeds) if options.seeds is not None else []
    gone = options.resume and not all(path.exists() for path in options.images)
    pictures = read_pictures(options.images, manifest.read(options.output).pictures if gone else {})
    asked = Asked(options.settings, pictures, seeds, options.image_node)
    document = read_document(options.workflow)
    with EditorServer(_connection(options)) as editor, _server_sentences(editor, options.output):
        jobs = _jobs(document, editor.object_info(), asked, editor)
        with manifest.locked(options.output):
            failed = _work(jobs, _open_manifest(options, asked, editor, jobs), editor, options)
    if failed:
        fail(plain("\n".join(failed)), FAILED)


def _connection(options: Options) -> Connection:
    address = Address.read(options.server)
    secrets = Secrets.of(address, options.headers, os.environ.get(TOKEN, ""))
    return Connection(address, secrets, trusted(options.ca), options.timing.limits)


def _jobs(document: dict[str, Any], infos: Mapping[str, Info], asked: Asked, editor: EditorServer) -> list[Job]:
    try:
        return plan(document, infos, asked)
    except InputError:
        raise
    except OTHER_SHAPE as error:  # what nodes say of themselves may have any shape below the first
        raise UnexpectedAnswer(
            f"The server at {editor.where} describes its nodes so that this workflow cannot be read ({error!r:.80})."
        ) from error


def _open_manifest(options: Options, asked: Asked, editor: EditorServer, jobs: Sequence[Job]) -> Manifest:
    told = {
        "workflow": str(options.workflow),
        "settings": list(asked.settings),
        "pictures": [str(picture.path) for picture in asked.pictures],
        "seeds": list(asked.seeds),
    }
    if not options.resume:
        return manifest.new(options.output, editor.url, told, uuid.uuid4().hex, jobs)
    book = manifest.read(options.output)
    book.require_same(told, jobs)
    book.server, book.asked = editor.url, told
    book.go_on()
    return book


def _work(jobs: Sequence[Job], book: Manifest, editor: EditorServer, options: Options) -> list[str]:
    """Runs the jobs and prints the files of all that are done. Returns a sentence for each that failed."""
    bars = QueueBars(options.timing.tell_every)
    work = Work(jobs, book, editor, bars, options.patience, options.timing)
    try:
        with bars:
            work.run()
    except (InputError, Refused):
        if not options.resume and not work.accepted:  # as if it had not been asked
            book.path.unlink(missing_ok=True)
        raise
    except KeyboardInterrupt:
        bars.say(_cancelled(work))
        raise typer.Exit(INTERRUPTED) from None
    finally:  # what is home is there, whatever became of the others
        for result in (result for record in work.records for result in record.files):
            path = str(book.path.parent / result.file)
            typer.echo(plain(path) if sys.stdout.isatty() else path)
    return [f"{record.name}: {record.error}" for record in work.records if record.state == "failed"]


def _cancelled(work: Work) -> str:
    count = len(work.unfinished)
    try:
        work.cancel()
    except (Unreachable, UnexpectedAnswer):
        return f"Stopped. The server does not answer; it may go on with {count} clips. {GO_ON}"
    return f"Stopped, and took {count} clips out of the server's queue. {GO_ON}"


@contextmanager
def _fit_to_be_shown() -> Iterator[None]:
    """Names in a workflow, and what the server says of its nodes, are others' words too."""
    try:
        yield
    except InputError as error:
        raise InputError(plain(error)) from error


@contextmanager
def _server_sentences(editor: EditorServer, output: Path) -> Iterator[None]:
    try:
        yield
    except Unreachable as error:
        remedy = "start ComfyUI there, or give its address with --server"
        if proxy := editor.connection.proxy:
            remedy = f"start ComfyUI there, or name its host in no_proxy if {proxy.variable} is not meant for it"
        fail(plain(f"No ComfyUI answers at {editor.where} ({error}); {remedy}."), FAILED)
    except AwayTooLong as error:
        fail(plain(_with_way_on(f"{error} Start it again.", output)), FAILED)
    except UnexpectedAnswer as error:
        fail(plain(_with_way_on(str(error), output)), FAILED)
    except Refused as error:
        fail(plain(error), BAD_INPUT)
    except OSError:
        typer.echo(GO_ON, err=True)
        raise


def _with_way_on(sentence: str, output: Path) -> str:
    """There is one where something was begun."""
    return f"{sentence} {GO_ON}" if (output / manifest.NAME).exists() else sentence
