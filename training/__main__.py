"""The commands that make the miniature: `vae`, `decoder`, `unet`, `ship`; and `curves`, which draws the losses.

On several cards: python -m torch.distributed.run --standalone --nproc-per-node 4 -m svd_nodes.training unet ...
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ..svd.checkpoint import Models, load
from ..svd.config import CLIPConfig
from .cards import Cards
from .draw import Draw
from .loop import EVERY, Limit, Run
from .pool import Studio
from .presets import PRESETS, TINY, Preset
from .scenes import SIZE
from .ship import STAGES, averaged, draw_curves, read_unet, read_vae, ship, write_vae
from .unet import FURTHER_PLAN, NANO_PLAN, Plan, Shape, train_unet
from .vae import CLIPS, CROPS, canvases, masks, train_clips, train_pictures

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
TINY_PLAN = Plan(Shape(4, 6, 6, 4, 16), Shape(6, 4, 4, 4, 16), (Shape(3, 4, 6, 2, 16),))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m svd_nodes.training", description=__doc__)
    parser.add_argument("stage", choices=("vae", "decoder", "unet", "ship", "curves"))
    parser.add_argument("--state", type=Path, required=True, help="a folder: what the stages hand to each other")
    parser.add_argument("--out", type=Path, help="the file that ship or curves writes, and unet with every snapshot")
    parser.add_argument("--preset", choices=PRESETS, default="nano")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true", help="compile the UNet's blocks: minutes, then faster")
    parser.add_argument("--precision", choices=DTYPES, default="bf16", help="of the networks; the optimiser has fp32")
    parser.add_argument("--wait", action="store_true", help="wait for the autoencoder after compiling")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100_000, help="at most so many steps of the stage")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most so many seconds of the stage")
    parser.add_argument("--until", type=float, default=float("inf"), help="the stage ends at this Unix time")
    parser.add_argument(
        "--snapshot", type=float, default=float("inf"), help="save state and --out every so many seconds"
    )
    parser.add_argument("--clip-seconds", type=float, default=60, help="seconds of the autoencoder's second stage")
    parser.add_argument("--pause", type=float, default=float("inf"), help="stop after so many seconds, to go on later")
    parser.add_argument("--compact", action="store_true", help="halve the state's precision, leave momenta out")
    parser.add_argument("--start", type=Path, help="a shipped file whose decoder or UNet is trained on")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate of the UNet's stage")
    parser.add_argument("--canvases", type=int, default=3072)
    parser.add_argument("--canvas-size", type=int, default=SIZE)
    asked = parser.parse_args(arguments)
    if lacking := _lacking(asked):
        parser.error(lacking)
    torch.manual_seed(asked.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    asked.state.mkdir(parents=True, exist_ok=True)
    if asked.stage in ("ship", "curves"):
        {"ship": _ship, "curves": _curves}[asked.stage](asked)
        return
    cards = Cards.join(asked.device)
    {"vae": _vae, "decoder": _decoder, "unet": _unet}[asked.stage](asked, cards)
    cards.leave()


def _lacking(asked: argparse.Namespace) -> str | None:
    """What a stage cannot begin without, as a sentence."""
    if asked.stage in ("ship", "curves") and asked.out is None:
        return f"{asked.stage} needs --out, the file that it writes."
    if asked.start and not asked.start.is_file():
        return f"--start: there is no file {asked.start}."
    if asked.stage == "curves" and not any((asked.state / f"{stage}.json").is_file() for stage in STAGES):
        return f"{asked.state} holds no losses yet: run the stages vae and unet first."
    if asked.stage == "decoder" and not asked.start:
        return "decoder needs --start, the file whose decoder is trained on."
    needed = {"vae": "vae.safetensors", "unet": "unet/state.json"} if asked.stage == "ship" else {}
    if asked.stage == "unet" and not (asked.start or asked.wait):
        needed = {"vae": "vae.safetensors"}
    missing = (stage for stage, name in needed.items() if not (asked.state / name).is_file())
    stage = next(missing, None)
    return f"{asked.state} holds no result of the stage {stage} yet: run that first." if stage else None


def _started(asked: argparse.Namespace) -> tuple[Preset, Models | None]:
    """The networks' sizes, and what to start from: a file has its own sizes."""
    if not asked.start:
        return PRESETS[asked.preset], None
    models = load(asked.start)
    clip = CLIPConfig.from_json(models.clip.config.to_dict())
    return Preset(models.unet.config, models.vae.config, clip), models


def _stock(asked: argparse.Namespace, cards: Cards, seed: int) -> tuple[Draw, torch.Tensor]:
    """Every card's own draws and canvases."""
    draw = Draw.seeded(seed + 1000 * cards.rank, cards.device)
    return draw, canvases(draw, asked.canvases, asked.canvas_size)


def _reporter(
    asked: argparse.Namespace, name: str, write: Callable[[Run], None] = lambda run: None
) -> Callable[[Run], None]:
    """Says how a stage goes, and every so many seconds has the first card save what there is."""
    saved = 0.0

    def report(run: Run) -> None:
        nonlocal saved
        if not run.cards.first:
            return
        losses = [loss for _, loss in run.losses[-500 // EVERY :]]
        mean = sum(losses) / max(len(losses), 1)
        print(f"{name} step {run.step} {run.seconds:.0f} s {run.share:.1%} loss {mean:.4f}", flush=True)
        if run.seconds - saved >= asked.snapshot:
            saved = run.seconds
            _save(asked, name, run)
            write(run)

    return report


def _save(asked: argparse.Namespace, name: str, run: Run) -> None:
    """A stage's state and losses."""
    run.save(asked.state / name, torch.float16 if asked.compact else torch.float32)
    values = {"steps": run.step, "seconds": run.seconds, "seed": asked.seed, "losses": run.losses}
    (asked.state / f"{name}.json").write_text(json.dumps(values))


def _vae(asked: argparse.Namespace, cards: Cards) -> None:
    preset = PRESETS[asked.preset]
    draw, stock = _stock(asked, cards, asked.seed)
    limit = Limit(asked.steps, asked.seconds, asked.until - asked.clip_seconds)
    settings: dict[str, Any] = {"dtype": DTYPES[asked.precision], "cards": cards}
    settings |= {"size": 32} if preset is TINY else {}
    crops, clips = (2, 2) if preset is TINY else (CROPS // cards.count, CLIPS // cards.count)
    compiled, report = asked.compile, _reporter(asked, "vae-pictures")
    pictures, first = train_pictures(
        preset.vae, draw, stock, limit, asked.state / "vae-pictures", batch=crops, compiled=compiled, report=report,
        **settings,
    )  # fmt: skip
    _tell("vae-pictures", first, asked)
    limit = Limit(asked.steps, asked.clip_seconds, asked.until)
    report = _reporter(asked, "vae-clips")
    vae, second = train_clips(
        preset.vae, pictures, draw, stock, limit, asked.state / "vae-clips", batch=clips, report=report, **settings
    )
    _tell("vae-clips", second, asked)
    if cards.first:
        write_vae(vae, asked.state)


def _decoder(asked: argparse.Namespace, cards: Cards) -> None:
    preset, models = _started(asked)
    assert models is not None  # _lacking has seen to that
    draw, stock = _stock(asked, cards, asked.seed)
    limit = Limit(asked.steps, asked.seconds, asked.until)
    settings: dict[str, Any] = {"dtype": DTYPES[asked.precision], "cards": cards, "lr": asked.lr}
    settings |= {"batch": 2, "size": 32} if PRESETS[asked.preset] is TINY else {}
    report, folder = _reporter(asked, "vae-clips"), asked.state / "vae-clips"
    old = models.vae.float().to(cards.device)
    vae, run = train_clips(preset.vae, old, draw, stock, limit, folder, report=report, **settings)
    _tell("vae-clips", run, asked)
    if cards.first:
        write_vae(vae, asked.state)


def _unet(asked: argparse.Namespace, cards: Cards) -> None:
    folder = asked.state / "unet"
    if asked.start and (folder / "state.json").is_file():
        sys.exit(f"{folder} holds a training already: leave --start out to go on with it, or name another --state.")
    preset, models = _started(asked)
    plan = TINY_PLAN if PRESETS[asked.preset] is TINY else FURTHER_PLAN if asked.start else NANO_PLAN
    limit = Limit(asked.steps, asked.seconds, asked.until)

    def studio() -> Studio:
        print(f"unet, card {cards.rank}: ready for canvases", flush=True)
        draw, stock = _stock(asked, cards, asked.seed + 1)
        cutouts = masks(draw, max(len(stock) // 8, 16), asked.canvas_size)
        if models is not None and not asked.wait and cards.first:
            write_vae(models.vae, asked.state)
        while not (asked.state / "vae.safetensors").is_file():
            time.sleep(1)
        print(f"unet, card {cards.rank}: has the autoencoder", flush=True)
        vae = read_vae(preset.vae, asked.state).to(cards.device, DTYPES[asked.precision])
        return Studio(vae, draw, stock, cutouts)

    def write(run: Run) -> None:
        if asked.out:
            unet, clip = averaged(preset, run)
            ship(unet, read_vae(preset.vae, asked.state), clip, asked.out)

    settings: dict[str, Any] = {"cards": cards, "dtype": DTYPES[asked.precision], "compiled": asked.compile}
    settings |= {"start": models, "lr": asked.lr, "pause": asked.pause, "report": _reporter(asked, "unet", write)}
    _, _, run = train_unet(preset, plan, studio, limit, folder, **settings)
    if cards.first:
        _save(asked, "unet", run)
        write(run)
    _tell("unet", run, asked)


def _tell(stage: str, run: Run, asked: argparse.Namespace) -> None:
    if not run.cards.first:
        return
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
