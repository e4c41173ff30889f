"""One call of `svd-nodes queue`: the jobs, the manifest and the server brought together, and how it ends."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from ...svd.errors import InputError
from ..graph import read_document
from ..sentences import BAD_INPUT, FAILED, INTERRUPTED, fail
from . import manifest
from .bars import QueueBars
from .manifest import Manifest
from .plan import Asked, Job, plan, read_pictures, read_seeds
from .server import EditorServer, Refused, Strange, Unreachable
from .work import Lost, Work

GO_ON = "To go on, give the same command with --resume."


@dataclass(frozen=True)
class Options:
    """What the command line says. `patience`: seconds to wait for a server that went away."""

    workflow: Path
    server: str
    images: Sequence[Path]
    settings: Sequence[str]
    seeds: str | None
    image_node: str | None
    output: Path
    resume: bool
    patience: float


def start(options: Options) -> None:
    """Makes the clips, prints their files, and ends with a sentence for each that failed."""
    seeds = read_seeds(options.seeds) if options.seeds is not None else []
    gone = options.resume and not all(path.exists() for path in options.images)
    pictures = read_pictures(options.images, manifest.read(options.output).pictures if gone else {})
    asked = Asked(options.settings, pictures, seeds, options.image_node)
    document = read_document(options.workflow)
    with EditorServer(options.server) as editor, _server_sentences(editor, options.output):
        jobs = plan(document, editor.object_info(), asked)
        with manifest.locked(options.output):
            failed = _work(jobs, _open_manifest(options, asked, editor, jobs), editor, options)
    if failed:
        fail("\n".join(failed), FAILED)


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
    bars = QueueBars()
    work = Work(jobs, book, editor, bars, options.patience)
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
            typer.echo(book.path.parent / result.file)
    return [f"{record.name}: {record.error}" for record in work.records if record.state == "failed"]


def _cancelled(work: Work) -> str:
    count = len(work.unfinished)
    try:
        work.cancel()
    except (Unreachable, Strange):
        return f"Stopped. The server does not answer; it may go on with {count} clips. {GO_ON}"
    return f"Stopped, and took {count} clips out of the server's queue. {GO_ON}"


@contextmanager
def _server_sentences(editor: EditorServer, output: Path) -> Iterator[None]:
    try:
        yield
    except Unreachable as error:
        address = "start ComfyUI there, or give its address with --server"
        fail(f"No ComfyUI answers at {editor.url} ({error}); {address}.", FAILED)
    except Lost as error:
        fail(_with_way_on(f"{error} Start it again.", output), FAILED)
    except Strange as error:
        fail(_with_way_on(str(error), output), FAILED)
    except Refused as error:
        fail(str(error), BAD_INPUT)
    except OSError:
        typer.echo(GO_ON, err=True)
        raise


def _with_way_on(sentence: str, output: Path) -> str:
    """There is one where something was begun."""
    return f"{sentence} {GO_ON}" if (output / manifest.NAME).exists() else sentence
