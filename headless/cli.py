"""The command line, `svd-nodes`. Torch is imported by the commands that need it, so that `--help` answers at once.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted. Results go to stdout, everything else to stderr.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .advice import advice

if TYPE_CHECKING:
    from .checkpoints import Report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn a picture into a video with Stable Video Diffusion, without an editor.",
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class Fit(StrEnum):
    crop = "crop"
    pad = "pad"
    stretch = "stretch"


class Guidance(StrEnum):
    linear = "linear"
    triangle = "triangle"
    constant = "constant"


class Precision(StrEnum):
    auto = "auto"
    fp16 = "fp16"
    bf16 = "bf16"
    fp32 = "fp32"


class Layout(StrEnum):
    single = "single"
    diffusers = "diffusers"


Checkpoints = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoints",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="A folder to look for checkpoints in first; may be repeated.",
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1. Default: the first card, else the CPU.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")]


@app.command()
def run(
    workflow: Annotated[
        Path,
        typer.Argument(
            metavar="WORKFLOW",
            help="A workflow saved from the editor (either form), or the pack's own image_to_video or quickstart.",
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
    with _sentences():
        from . import run as runner
        from .progress import Bars

        job = runner.Job(workflow, settings or [], output, checkpoints or [], device)
        with Bars() as bars:
            paths = runner.run(job, bars)
        for path in paths:
            typer.echo(path)


@app.command()
def generate(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="The picture that becomes the video.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT", help="OUT.mp4, OUT.webp, or a folder for PNG frames.")
    ],
    checkpoint: Annotated[
        str, typer.Option(help="A .safetensors file or diffusers folder: a path, or a name in a checkpoints folder.")
    ] = "svd_xt.safetensors",
    width: Annotated[int, typer.Option(min=8, max=8192, help="The video's width, a multiple of 8.")] = 1024,
    height: Annotated[int, typer.Option(min=8, max=8192, help="The video's height, a multiple of 8.")] = 576,
    fit: Annotated[Fit, typer.Option(help="How the picture is brought to that size.")] = Fit.crop,
    frames: Annotated[
        int | None, typer.Option(min=1, max=1024, help="How many frames. Default: as the checkpoint was trained.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=10000, help="More steps take longer and look cleaner.")] = 25,
    min_guidance: Annotated[
        float, typer.Option(min=0, max=100, help="How firmly the first frame follows the picture.")
    ] = 1.0,
    max_guidance: Annotated[
        float, typer.Option(min=0, max=100, help="How firmly the last frame follows the picture.")
    ] = 3.0,
    guidance: Annotated[Guidance, typer.Option(help="How guidance goes from least to most.")] = Guidance.linear,
    fps: Annotated[int, typer.Option(min=1, max=120, help="Frames per second, told to the model and played at.")] = 7,
    motion_bucket: Annotated[int, typer.Option(min=0, max=1023, help="Higher moves more; 127 is usual.")] = 127,
    noise_aug: Annotated[
        float, typer.Option(min=0.0, max=10.0, help="Noise added to the picture; more lets the video stray from it.")
    ] = 0.02,
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="The same seed gives the same video.")] = 0,
    decode_chunk: Annotated[
        int, typer.Option(min=1, help="Frames decoded at a time; fewer need less memory and flicker more.")
    ] = 14,
    precision: Annotated[Precision, typer.Option(help="auto is fp16 on a card and fp32 on the CPU.")] = Precision.auto,
    checkpoints: Checkpoints = None,
    device: Device = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a video from a picture, without a workflow, and print where it is."""
    with _sentences():
        from . import generate as maker
        from .progress import Bars

        request = maker.Request(
            picture=picture,
            output=output,
            checkpoint=checkpoint,
            width=width,
            height=height,
            fit=fit.value,
            frames=frames,
            steps=steps,
            min_guidance=min_guidance,
            max_guidance=max_guidance,
            guidance=guidance.value,
            fps=fps,
            motion_bucket=motion_bucket,
            noise_aug=noise_aug,
            seed=seed,
            decode_chunk=decode_chunk,
            precision=precision.value,
            device=device,
            overwrite=overwrite,
            checkpoint_folders=tuple(checkpoints or ()),
        )
        with Bars() as bars:
            path = maker.generate(request, bars)
        typer.echo(path)


@app.command()
def inspect(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A .safetensors file or a diffusers folder.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a program to read.")] = False,
) -> None:
    """Say what a checkpoint is, from its header alone. Ends with 2 when something is missing in it."""
    with _sentences():
        from .checkpoints import inspect as look

        report = look(checkpoint)
        if as_json:
            typer.echo(json.dumps(report.to_json(), indent=2))
        else:
            _show(report)
        if report.missing:
            raise typer.Exit(BAD_INPUT)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A .safetensors file or a diffusers folder.")],
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="The file or folder to write.")],
    layout: Annotated[Layout, typer.Option(help="One .safetensors file, or a folder that diffusers loads.")],
    precision: Annotated[
        Precision, typer.Option(help="The number format to write; auto keeps the source's.")
    ] = Precision.auto,
    overwrite: Overwrite = False,
) -> None:
    """Write a checkpoint in the other layout, or in another precision, and print where it is."""
    with _sentences():
        from .checkpoints import convert as write

        write(source, destination, layout.value, None if precision == "auto" else precision.value, overwrite)
        typer.echo(destination)


def _show(report: "Report") -> None:
    hint = "not told; svd was trained on 14, svd_xt on 25"
    facts = {
        "family": report.family,
        "layout": report.layout,
        "decoder": report.decoder,
        "frames": f"{report.frames_hint} (a hint, from its config or name)" if report.frames_hint else hint,
    }
    lines = [f"{name:<10}{value}" for name, value in facts.items()]
    lines += [
        f"{p.name:<10}{p.parameters:>15,} parameters in {p.tensors:,} tensors, {p.precision}" for p in report.parts
    ]
    lines += [f"{'missing':<10}{sentence}" for sentence in report.missing or ("nothing",)]
    typer.echo("\n".join(lines))


@contextmanager
def _sentences() -> Iterator[None]:
    """Turns what a user can do something about into one sentence on stderr and an exit code."""
    from ..svd.errors import InputError, NonFiniteError

    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except InputError as error:
        _fail(str(error), BAD_INPUT, advice(str(error)))
    except (NonFiniteError, MemoryError) as error:
        _fail(str(error) or "There is not enough memory; use fewer frames or a smaller size.", FAILED)
    except OSError as error:
        from .files import reason

        where = f" ({error.filename})" if error.filename else ""
        _fail(f"A file could not be written or read{where}: {reason(error)}.", FAILED)


def _fail(sentences: str, code: int, hint: str | None = None) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    for sentence in sentences.splitlines():
        console.print(f"[bold red]{'bad input' if code == BAD_INPUT else 'failed'}[/]", end="  ")
        console.print(sentence, markup=False)
    if hint:
        console.print(hint, markup=False)
    raise typer.Exit(code)


def main() -> None:
    """The entry point of `svd-nodes`."""
    app()
