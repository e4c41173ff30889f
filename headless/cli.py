"""The command line, `svd-nodes`. Torch is imported by the commands that need it, so that `--help` answers at once.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted. Results go to stdout, everything else to stderr.
"""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .queue.command import queue
from .sentences import BAD_INPUT, sentences

if TYPE_CHECKING:
    from .checkpoints import Report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Fit(StrEnum):
    crop = "crop"
    pad = "pad"
    stretch = "stretch"


class Schedule(StrEnum):
    karras = "karras"
    align_your_steps = "align-your-steps"


class Guidance(StrEnum):
    linear = "linear"
    triangle = "triangle"
    constant = "constant"


class Precision(StrEnum):
    auto = "auto"
    fp16 = "fp16"
    bf16 = "bf16"
    fp32 = "fp32"


class Memory(StrEnum):
    auto = "auto"
    fast = "fast"
    balanced = "balanced"
    low = "low"


class Layout(StrEnum):
    single = "single"
    diffusers = "diffusers"


CHECKPOINT = "A .safetensors file or a diffusers folder: a path, or else a name in a checkpoints folder."
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoints",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="A folder to look for the checkpoint's name in first; may be repeated.",
    ),
]
Variant = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Which files of a diffusers folder: fp16, say. Default: the plain ones, else the only ones there are.",
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1. Default: the first card, else the CPU.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]


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
) -> None:
    """Turn a picture into a video with Stable Video Diffusion, without an editor."""


@app.command()
def run(
    workflow: Annotated[
        Path,
        typer.Argument(
            metavar="WORKFLOW",
            help="A workflow saved from the editor (either form), or one of the pack's own: "
            "compare_motion, image_to_video, image_to_video_10_steps, quickstart.",
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
    with sentences():
        from . import run as runner
        from .progress import progress

        job = runner.Job(workflow, settings or [], output, checkpoints or [], device)
        with progress() as watch:
            paths = runner.run(job, watch)
        for path in paths:
            typer.echo(path)


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
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="For one picture: OUT.mp4, OUT.webp, or a folder that gets its frames as PNGs. "
            "For several: a folder that gets NAME.mp4 of each.",
        ),
    ],
    checkpoint: Annotated[str, typer.Option(help=CHECKPOINT)] = "svd_xt.safetensors",
    width: Annotated[
        int | None,
        typer.Option(
            min=8, max=8192, help="The video's width, a multiple of 8. Default: 1024; 256 for svd_nano.safetensors."
        ),
    ] = None,
    height: Annotated[
        int | None, typer.Option(min=8, max=8192, help="Its height, a multiple of 8. Default: 576; 256 for svd_nano.")
    ] = None,
    fit: Annotated[Fit, typer.Option(help="How the picture is brought to that size.")] = Fit.crop,
    frames: Annotated[
        int | None, typer.Option(min=1, max=1024, help="How many frames. Default: as the checkpoint was trained.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="More steps take longer and look cleaner.")] = 25,
    schedule: Annotated[
        Schedule, typer.Option(help="The noise levels: karras for 20 steps and more, align-your-steps for about 10.")
    ] = Schedule.karras,
    min_guidance: Annotated[
        float, typer.Option(min=0, max=100, help="How firmly frames follow the picture where guidance is least.")
    ] = 1.0,
    max_guidance: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, help="How firmly frames follow it where guidance is most. Default: 3; 2 for svd_nano."
        ),
    ] = None,
    guidance: Annotated[
        Guidance,
        typer.Option(
            help="linear: from min to max over the video. triangle: up to max in the middle and back. "
            "constant: max everywhere."
        ),
    ] = Guidance.linear,
    fps: Annotated[
        int,
        typer.Option(
            min=1,
            max=120,
            help="Frames per second, told to the model and played at; 120 is the most that Create Video takes, too.",
        ),
    ] = 7,
    motion_bucket: Annotated[int, typer.Option(min=0, max=1023, help="Higher moves more; 127 is usual.")] = 127,
    noise_aug: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="Noise added to the picture; more lets the video stray from it.")
    ] = 0.02,
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="The same seed gives the same video.")] = 0,
    decode_chunk: Annotated[
        int, typer.Option(min=1, help="Frames decoded at a time; fewer need less memory and flicker more.")
    ] = 14,
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
    checkpoints: Checkpoints = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a video from each picture, without a workflow, and print where it is."""
    with sentences():
        from . import generate as maker
        from .progress import progress

        request = maker.Request(
            pictures=tuple(pictures),
            output=output,
            checkpoint=checkpoint,
            width=width,
            height=height,
            fit=fit.value,
            frames=frames,
            steps=steps,
            schedule=schedule.value,
            min_guidance=min_guidance,
            max_guidance=max_guidance,
            guidance=guidance.value,
            fps=fps,
            motion_bucket=motion_bucket,
            noise_aug=noise_aug,
            seed=seed,
            decode_chunk=decode_chunk,
            precision=precision.value,
            memory=memory.value,
            device=device,
            overwrite=overwrite,
            checkpoint_folders=tuple(checkpoints or ()),
        )
        finished: list[Path] = []
        try:
            with progress() as watch:
                maker.generate(request, watch, finished.append)
        finally:  # the clips that are made are there, whatever became of the others
            for path in finished:
                typer.echo(path)


@app.command()
def inspect(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT", help=CHECKPOINT)],
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program to read.")] = False,
    variant: Variant = None,
    checkpoints: Checkpoints = None,
) -> None:
    """Say what a checkpoint is, from its header alone. Ends with 2 when something is missing in it."""
    with sentences():
        from .checkpoints import find
        from .checkpoints import inspect as look

        report = look(find(checkpoint, checkpoints or []), variant)
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
    layout: Annotated[Layout, typer.Option(help="One .safetensors file, or a folder that diffusers loads.")],
    precision: Annotated[
        Precision, typer.Option(help="The number format to write; auto keeps the source's.")
    ] = Precision.auto,
    variant: Variant = None,
    checkpoints: Checkpoints = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a checkpoint in the other layout, or in another precision, and print where it is."""
    with sentences():
        from .checkpoints import convert as write
        from .checkpoints import find

        found = find(source, checkpoints or [])
        write(found, destination, layout.value, None if precision == "auto" else precision.value, overwrite, variant)
        typer.echo(destination)


@app.command()
def sheet(
    clips: Annotated[list[Path], typer.Argument(metavar="CLIP", help="A video (.mp4 or .webp); each becomes a row.")],
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
    with sentences():
        from .sheet import write_sheet

        typer.echo(write_sheet(clips, output, columns, overwrite))


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program to read.")] = False,
    checkpoints: Checkpoints = None,
) -> None:
    """Say what is installed and found: versions, devices, kernels, checkpoints, the editor. For every report."""
    from .doctor import examine, text  # and no sentences(): nothing here may need what is broken

    report = examine(checkpoints or [])
    encoding = sys.stdout.encoding or "utf-8"
    shown = json.dumps(report, indent=2) if as_json else text(report)
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
    typer.echo("\n".join(lines))


def main() -> None:
    """The entry point of `svd-nodes`."""
    app()
