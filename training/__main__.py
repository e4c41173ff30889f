"""The three commands that make the miniature: `vae`, `unet`, `ship`; and `curves`, which draws the losses."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..svd.checkpoint import load
from .draw import Draw
from .loop import Limit, Run
from .pool import Studio
from .presets import PRESETS, TINY
from .scenes import SIZE
from .ship import STAGES, draw_curves, read_unet, read_vae, ship, write_vae
from .unet import FURTHER_PLAN, NANO_PLAN, Plan, Shape, train_unet
from .vae import canvases, masks, train_clips, train_pictures

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
TINY_PLAN = Plan(Shape(4, 4, 4, 4, 16), Shape(4, 6, 6, 4, 16), Shape(6, 4, 4, 4, 16), (Shape(3, 4, 6, 2, 16),))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m svd_nodes.training", description=__doc__)
    parser.add_argument("stage", choices=("vae", "unet", "ship", "curves"))
    parser.add_argument("--state", type=Path, required=True, help="a folder: what the stages hand to each other")
    parser.add_argument("--out", type=Path, help="the file that ship or curves writes")
    parser.add_argument("--preset", choices=PRESETS, default="nano")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true", help="compile the UNet's blocks: minutes, then faster")
    parser.add_argument("--precision", choices=DTYPES, default="bf16", help="of the networks; the optimiser has fp32")
    parser.add_argument("--wait", action="store_true", help="wait for the autoencoder after compiling")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100_000, help="at most so many steps of the stage")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most so many seconds of the stage")
    parser.add_argument("--until", type=float, default=float("inf"), help="the UNet's stage ends at this Unix time")
    parser.add_argument("--snapshot", type=float, default=float("inf"), help="save the state every so many seconds")
    parser.add_argument("--clip-seconds", type=float, default=60, help="seconds of the autoencoder's second stage")
    parser.add_argument("--pause", type=float, default=float("inf"), help="stop after so many seconds, to go on later")
    parser.add_argument("--compact", action="store_true", help="halve the state's precision, leave momenta out")
    parser.add_argument("--start", type=Path, help="a shipped file whose UNet and condition encoder are trained on")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate of the UNet's stage")
    parser.add_argument("--canvases", type=int, default=3072)
    parser.add_argument("--canvas-size", type=int, default=SIZE)
    asked = parser.parse_args(arguments)
    if lacking := _lacking(asked):
        parser.error(lacking)
    torch.manual_seed(asked.seed)
    asked.state.mkdir(parents=True, exist_ok=True)
    {"vae": _vae, "unet": _unet, "ship": _ship, "curves": _curves}[asked.stage](asked)


def _lacking(asked: argparse.Namespace) -> str | None:
    """What a stage cannot begin without, as a sentence."""
    if asked.stage in ("ship", "curves") and asked.out is None:
        return f"{asked.stage} needs --out, the file that it writes."
    if asked.start and not asked.start.is_file():
        return f"--start: there is no file {asked.start}."
    if asked.stage == "curves" and not any((asked.state / f"{stage}.json").is_file() for stage in STAGES):
        return f"{asked.state} holds no losses yet: run the stages vae and unet first."
    needed = {"vae": "vae.safetensors", "unet": "unet/state.json"} if asked.stage == "ship" else {}
    if asked.stage == "unet" and not (asked.start or asked.wait):
        needed = {"vae": "vae.safetensors"}
    missing = (stage for stage, name in needed.items() if not (asked.state / name).is_file())
    stage = next(missing, None)
    return f"{asked.state} holds no result of the stage {stage} yet: run that first." if stage else None


def _stock(asked: argparse.Namespace, seed: int) -> tuple[Draw, torch.Tensor]:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    draw = Draw.seeded(seed, asked.device)
    return draw, canvases(draw, asked.canvases, asked.canvas_size)


def _vae(asked: argparse.Namespace) -> None:
    preset = PRESETS[asked.preset]
    draw, stock = _stock(asked, asked.seed)
    settings: dict[str, Any] = {"dtype": DTYPES[asked.precision]}
    settings |= {"batch": 2, "size": 32} if preset is TINY else {}
    limit = Limit(asked.steps, asked.seconds)
    pictures, first = train_pictures(
        preset.vae, draw, stock, limit, asked.state / "vae-pictures", compiled=asked.compile, **settings
    )
    _tell("vae-pictures", first, asked)
    limit = Limit(asked.steps, asked.clip_seconds)
    vae, second = train_clips(preset.vae, pictures, draw, stock, limit, asked.state / "vae-clips", **settings)
    _tell("vae-clips", second, asked)
    write_vae(vae, asked.state)


def _unet(asked: argparse.Namespace) -> None:
    preset = PRESETS[asked.preset]
    plan = TINY_PLAN if preset is TINY else FURTHER_PLAN if asked.start else NANO_PLAN
    limit, folder = Limit(asked.steps, asked.seconds, asked.until), asked.state / "unet"
    dtype = torch.float16 if asked.compact else torch.float32
    saved = 0.0

    def studio() -> Studio:
        draw, stock = _stock(asked, asked.seed + 1)
        cutouts = masks(draw, max(len(stock) // 8, 16), asked.canvas_size)
        if asked.start:
            write_vae(load(asked.start).vae, asked.state)
        while asked.wait and not (asked.state / "vae.safetensors").is_file():
            time.sleep(1)
        vae = read_vae(preset.vae, asked.state).to(asked.device, DTYPES[asked.precision])
        return Studio(vae, draw, stock, cutouts)

    def report(run: Run) -> None:
        nonlocal saved
        print(f"unet step {run.step} {run.seconds:.0f} s loss {run.losses[-1][1]:.4f}", flush=True)
        if run.seconds - saved > asked.snapshot:
            saved = run.seconds
            run.save(folder, dtype)

    if asked.start and (folder / "state.json").is_file():
        sys.exit(f"{folder} holds a training already: leave --start out to go on with it, or name another --state.")
    settings: dict[str, Any] = {"device": asked.device, "dtype": DTYPES[asked.precision], "compiled": asked.compile}
    settings |= {"start": load(asked.start) if asked.start else None}
    settings |= {"lr": asked.lr, "pause": asked.pause, "report": report}
    _, _, run = train_unet(preset, plan, studio, limit, folder, **settings)
    run.save(folder, dtype)
    _tell("unet", run, asked)


def _tell(stage: str, run: Run, asked: argparse.Namespace) -> None:
    loss = f", loss {run.losses[-1][1]:.4f}" if run.losses else ""
    print(f"{stage}: {run.step} steps in {run.seconds:.0f} s{loss}", flush=True)
    values = {"steps": run.step, "seconds": run.seconds, "seed": asked.seed, "losses": run.losses}
    (asked.state / f"{stage}.json").write_text(json.dumps(values))


def _ship(asked: argparse.Namespace) -> None:
    preset = PRESETS[asked.preset]
    unet, clip = read_unet(preset, asked.state / "unet")
    ship(unet, read_vae(preset.vae, asked.state), clip, asked.out)


def _curves(asked: argparse.Namespace) -> None:
    draw_curves(asked.state, asked.out)


if __name__ == "__main__":
    main()
