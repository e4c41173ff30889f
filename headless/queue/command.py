"""`svd-nodes queue`, the command."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ...svd.errors import InputError
from ..files import prepare_folder
from ..graph import read_document
from ..sentences import FAILED, INTERRUPTED, fail, sentences
from . import manifest
from .bars import QueueBars
from .manifest import Manifest
from .plan import Asked, Job, plan, read_pictures, read_seeds
from .server import EditorServer, Refused, Unreachable
from .work import Lost, Work

GO_ON = "To go on, give the same command with --resume."


@dataclass(frozen=True)
class Options:
    """What the command line says beside what is asked for."""

    workflow: Path
    server: str
    output: Path
    resume: bool
    patience: float


def queue(
    workflow: Annotated[
        Path,
        typer.Argument(
            metavar="WORKFLOW", help="A workflow saved from the editor (either form), or one of the pack's own."
        ),
    ],
    server: Annotated[str, typer.Option(metavar="URL", help="The running editor.")] = "http://127.0.0.1:8188",
    images: Annotated[
        list[Path] | None,
        typer.Option("--image", metavar="FILE", help="A picture to upload and animate. May be repeated."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NODE.input=value",
            help="Change a value; NODE is a node's id, title or kind. May be repeated.",
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="1-8", help="A clip of each picture with each of these seeds: 1-8, or 3,5,7.")
    ] = None,
    image_node: Annotated[
        str | None, typer.Option(metavar="NODE", help="Where the pictures go, if several nodes load one.")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder for results and manifest.")] = Path("output"),
    resume: Annotated[bool, typer.Option("--resume", help="Finish what an earlier run left in DIR.")] = False,
    patience: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a server that went away.")
    ] = 300,
) -> None:
    """Make clips on a running editor: every picture with every seed. Prints the files it brought home."""
    with sentences():
        asked = Asked(settings or [], read_pictures(images or []), read_seeds(seeds) if seeds else [], image_node)
        options = Options(workflow, server, output, resume, patience)
        prepare_folder(output)
        with manifest.locked(output), EditorServer(server) as editor, _server_sentences(editor):
            jobs = plan(read_document(workflow), editor.object_info(), asked)
            book = _open_manifest(options, asked, editor)
            failed = _work(jobs, book, editor, options)
        if failed:
            fail("\n".join(failed), FAILED)


def _open_manifest(options: Options, asked: Asked, editor: EditorServer) -> Manifest:
    told = {
        "workflow": str(options.workflow),
        "settings": list(asked.settings),
        "pictures": [str(picture.path) for picture in asked.pictures],
        "seeds": list(asked.seeds),
    }
    if not options.resume:
        return manifest.new(options.output, editor.url, told, uuid.uuid4().hex)
    book = manifest.read(options.output)
    book.server, book.asked = editor.url, told
    return book


def _work(jobs: Sequence[Job], book: Manifest, editor: EditorServer, options: Options) -> list[str]:
    """Runs the jobs and prints the files of all that are done. Returns a sentence for each that failed."""
    bars = QueueBars()
    work = Work(jobs, book, editor, bars, options.patience)
    try:
        with bars:
            work.run()
    except InputError:
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
    except (Unreachable, Refused):
        return f"Stopped. The server does not answer; it may go on with {count} clips. {GO_ON}"
    return f"Stopped, and took {count} clips out of the server's queue. {GO_ON}"


@contextmanager
def _server_sentences(editor: EditorServer) -> Iterator[None]:
    try:
        yield
    except Unreachable as error:
        fail(f"There is no server at {editor.url} ({error}); start ComfyUI, or give its address with --server.", FAILED)
    except Lost as error:
        fail(f"{error} Start it again. {GO_ON}", FAILED)
    except Refused as error:
        fail(str(error), FAILED)
    except OSError:
        typer.echo(GO_ON, err=True)
        raise
