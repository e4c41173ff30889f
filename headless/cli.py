"""The command line, `svd-nodes`. Torch is imported when all is checked that can be without it.

Results go to stdout, everything else to stderr.
"""

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .bundled import check_workflow, listed
from .graph import read_document
from .options import (
    CHECKPOINT,
    ENDINGS,
    Checkpoints,
    Device,
    Fit,
    Guidance,
    Layout,
    Memory,
    Overwrite,
    Precision,
    Schedule,
    Variant,
    rate,
    within,
)
from .program import Program
from .queue.command import queue
from .request import Request, check, check_device, find
from .sentences import BAD_INPUT, note, printable, result
from .settings import check_settings

if TYPE_CHECKING:
    from .checkpoints import Report

app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 bad input, 130 stopped with Ctrl-C. What went wrong is on stderr.",
)


def _version(asked: bool) -> None:
    if asked:
        from .version import version

        typer.echo(f"svd-nodes {version()}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error comes from. May stand behind a command, too.")
    ] = False,
) -> None:
    """Turn a picture into a video with Stable Video Diffusion, without an editor."""


@app.command()
def run(
    workflow: Annotated[
        Path,
        typer.Argument(
            metavar="WORKFLOW",
            help="A workflow saved from the editor (either form), or one that `svd-nodes workflows` lists.",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NODE.input=value",
            help="Change a value; NODE is a node's id, title or kind. May be repeated.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the results.")] = Path("output"),
    checkpoints: Checkpoints = None,
    device: Device = None,
) -> None:
    """Run a saved workflow and print the files it made."""
    check_device(device)
    check_workflow(workflow)
    check_settings(settings or [], read_document(workflow))
    from . import run as runner
    from .progress import progress

    job = runner.Job(workflow, settings or [], output, checkpoints or [], device)
    with progress() as watch:
        paths = runner.run(job, watch)
    for path in paths:
        result(path)


@app.command()
def workflows() -> None:
    """List the pack's own workflows, which `run` and `queue` know by name."""
    typer.echo(listed())


@app.command()
def generate(
    pictures: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICTURE",
            help="The picture that becomes the video. Several make a video each, with the same seed and settings.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help=f"For one picture: a film ({ENDINGS}), or a folder that gets its frames "
            "as PNGs. For several: a folder that gets NAME.mp4 of each. A name with a slash at its end is a folder.",
        ),
    ],
    checkpoint: Annotated[str, typer.Option(help=CHECKPOINT)] = "svd_xt.safetensors",
    width: Annotated[
        int | None, within("width", "The video's width, a multiple of 8. Default: the checkpoint's own, as below.")
    ] = None,
    height: Annotated[
        int | None,
        within(
            "height",
            "Its height, a multiple of 8. Default: 576 for landscape pictures and 1024 for portraits, with "
            "svd_nano 256.",
        ),
    ] = None,
    fit: Annotated[Fit, typer.Option(help="How the picture is brought to that size.")] = Fit.crop,
    frames: Annotated[int | None, within("frames", "How many frames. Default: as the checkpoint was trained.")] = None,
    steps: Annotated[
        int | None, within("steps", "More steps take longer and look cleaner. Default: 25; 12 for svd_nano.")
    ] = None,
    schedule: Annotated[
        Schedule | None,
        typer.Option(
            help="The noise levels: karras for 20 steps and more, align-your-steps for about 10. Default: karras."
        ),
    ] = None,
    min_guidance: Annotated[
        float | None,
        within("min_guidance", "How firmly frames follow the picture where guidance is least. Default: 1."),
    ] = None,
    max_guidance: Annotated[
        float | None,
        within("max_guidance", "How firmly frames follow it where guidance is most. Default: 3; 2 for svd_nano."),
    ] = None,
    guidance: Annotated[
        Guidance,
        typer.Option(
            help="linear: from min to max over the video. triangle: up to max in the middle and back. "
            "constant: max everywhere."
        ),
    ] = Guidance.linear,
    fps: Annotated[
        Fraction | None,
        typer.Option(
            parser=rate,
            metavar="FPS",
            help="Frames per second, told to the model and played at: 7, 23.976 or 24000/1001, up to 120. "
            "Default: 7; 6 for svd_xt_1_1.",
        ),
    ] = None,
    motion_bucket: Annotated[
        int | None, within("motion_bucket", "Higher moves more. Default: 127; 70 for svd_nano.")
    ] = None,
    noise_aug: Annotated[
        float, within("noise_aug", "Noise added to the picture; more lets the video stray from it.")
    ] = 0.02,
    seed: Annotated[int, within("seed", "The same seed gives the same video.")] = 0,
    decode_chunk: Annotated[
        int, within("decode_chunk", "Frames decoded at a time; fewer need less memory and flicker more.")
    ] = 14,
    pingpong: Annotated[
        bool, typer.Option("--pingpong", help="Forward and then backward, so that it loops without a jump.")
    ] = False,
    precision: Annotated[
        Precision,
        typer.Option(
            help="The number format the networks run in. auto: fp16 on most cards, fp32 on a CPU. bf16 cures black or "
            "broken frames; fp32 is the most exact and needs twice the memory. The picture is always encoded in fp32."
        ),
    ] = Precision.auto,
    memory: Annotated[
        Memory,
        typer.Option(
            help="How weights and work are placed. auto: as the free memory suggests. fast: everything stays on the "
            "card. balanced: a little slower, about half the memory. low: the least memory, streams weights layer by "
            "layer. The pixels are the same in all."
        ),
    ] = Memory.auto,
    variant: Variant = None,
    checkpoints: Checkpoints = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a video from each picture, without a workflow, and print where it is.

    Options you leave out take the checkpoint's recommended values.
    """
    request = Request(
        pictures=tuple(pictures),
        output=output,
        checkpoint=checkpoint,
        width=width,
        height=height,
        fit=fit.value,
        frames=frames,
        steps=steps,
        schedule=schedule and schedule.value,
        min_guidance=min_guidance,
        max_guidance=max_guidance,
        guidance=guidance.value,
        fps=fps,
        motion_bucket=motion_bucket,
        noise_aug=noise_aug,
        seed=seed,
        decode_chunk=decode_chunk,
        pingpong=pingpong,
        precision=precision.value,
        memory=memory.value,
        device=device,
        overwrite=overwrite,
        variant=variant,
        checkpoint_folders=tuple(checkpoints or ()),
    )
    check(request)
    from . import generate as maker
    from .progress import progress

    plan = maker.plan(request)
    for sentence in plan.notes:
        note(sentence)
    finished: list[Path] = []
    try:
        with progress() as watch:
            maker.make(plan, watch, finished.append)
    finally:  # the clips that are made are there, whatever became of the others
        for path in finished:
            result(path)


@app.command()
def inspect(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help=CHECKPOINT)],
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program to read.")] = False,
    variant: Variant = None,
    checkpoints: Checkpoints = None,
) -> None:
    """Say what a checkpoint is, from its header alone. Ends with 2 when something is missing in it."""
    path = find(checkpoint, checkpoints or [])
    from .checkpoints import inspect as look

    report = look(path, variant)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=2))
    else:
        _show(report)
    if report.missing:
        raise typer.Exit(BAD_INPUT)


@app.command()
def convert(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=CHECKPOINT)],
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="The file or folder to write.")],
    layout: Annotated[
        Layout | None,
        typer.Option(help="One .safetensors file, or a folder that diffusers loads. Default: as DEST ends."),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="The number format to write; auto keeps the source's.")
    ] = Precision.auto,
    variant: Variant = None,
    checkpoints: Checkpoints = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a checkpoint in the other layout, or in another precision, and print where it is."""
    found = find(source, checkpoints or [])
    from .checkpoints import convert as write

    single = destination.suffix.lower() == ".safetensors"
    chosen = layout or (Layout.single if single else Layout.diffusers)
    write(found, destination, chosen.value, None if precision == "auto" else precision.value, overwrite, variant)
    result(destination)


@app.command()
def sheet(
    clips: Annotated[
        list[Path],
        typer.Argument(metavar="CLIP", help=f"A video ({ENDINGS}); each becomes a row."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="SHEET.png", help="The picture to write. Default: CLIP_sheet.png beside the clip."
        ),
    ] = None,
    columns: Annotated[int, typer.Option(min=1, max=100, help="Frames of each video, first and last included.")] = 7,
    overwrite: Overwrite = False,
) -> None:
    """Show videos as one picture, a row of frames of each, and print where it is."""
    from .sheet import write_sheet

    result(write_sheet(clips, output, columns, overwrite))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program to read.")] = False,
    checkpoints: Checkpoints = None,
) -> None:
    """Say what is installed and found: versions, devices, kernels, checkpoints, the editor. For every report."""
    from .doctor import examine, text

    report = examine(checkpoints or [])
    encoding = sys.stdout.encoding or "utf-8"
    shown = json.dumps(report, indent=2) if as_json else "\n".join(map(printable, text(report).split("\n")))
    typer.echo(shown.encode(encoding, "backslashreplace").decode(encoding))


app.command()(queue)


def _show(report: "Report") -> None:
    hint = "not told; svd was trained on 14, svd_xt on 25"
    facts = {
        "family": report.family,
        "layout": report.layout,
        "decoder": report.decoder,
        "frames": f"{report.frames_hint} (a hint, from its config or name)" if report.frames_hint else hint,
    }
    if report.wrapper:
        facts["names"] = f"behind {report.wrapper!r}, which is passed over"
    lines = [f"{name:<10}{value}" for name, value in facts.items()]
    lines += [
        f"{p.name:<10}{p.parameters:>15,} parameters in {p.tensors:,} tensors, {p.precision}" for p in report.parts
    ]
    lines += [f"{'missing':<10}{sentence}" for sentence in report.missing or ("nothing",)]
    typer.echo("\n".join(map(printable, lines)))


def main() -> None:
    """The entry point of `svd-nodes`."""
    app()
