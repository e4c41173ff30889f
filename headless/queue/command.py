"""`svd-nodes queue`, the command. What does the work is imported when it runs, so that `--help` answers at once."""

import math
from pathlib import Path
from typing import Annotated

import typer

from ...svd.errors import InputError
from ..bundled import check_workflow
from ..graph import read_document
from ..sentences import sentences
from ..settings import check_settings


def queue(
    workflow: Annotated[
        Path,
        typer.Argument(
            metavar="WORKFLOW", help="A workflow saved from the editor (either form), or one of the pack's own."
        ),
    ],
    server: Annotated[
        str, typer.Option(metavar="URL", help="The running editor; a login or ?token= in it goes to that server alone.")
    ] = "http://127.0.0.1:8188",
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
    headers: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="'NAME: VALUE'",
            help="A header for every request, such as a login that a proxy wants. May be repeated. "
            "A token is better put into $SVD_NODES_TOKEN, where no list of processes shows it: it is sent as "
            "'Authorization: Bearer TOKEN'. Neither goes to another host or into the manifest.",
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            help="A certificate (PEM or DER) to trust besides the system's, for https with one of your own.",
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for a server that is away; inf: for ever.")
    ] = 300,
) -> None:
    """Make clips on a running editor: every picture with every seed. Prints the files it brought home."""
    with sentences(works_here=False):
        if math.isnan(patience):
            raise InputError("--patience is nan; give it a number of seconds, or inf.")
        check_workflow(workflow)
        check_settings(settings or [], read_document(workflow))
        from .session import Options, start

        start(
            Options(
                workflow=workflow,
                server=server,
                images=images or [],
                settings=settings or [],
                seeds=seeds,
                image_node=image_node,
                output=output,
                resume=resume,
                patience=patience,
                headers=headers or [],
                ca=ca,
            )
        )
