"""The miniature's clip on the CPU: our pipeline beside diffusers' on the same weights, in turns.

    python -m svd_nodes.bench.cpu [--repeats 5] [--steps 12] [--threads 2] [--out bench/results/NAME.md]

256x256, 14 frames, fp32, guidance 1 to 3. Each side runs in a process of its own, which waits while the other works:
so both see the same machine, and each has its own peak of memory. The time of a step is the median of all its steps.
"""

import argparse
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from datetime import date
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "assets" / "checkpoints" / "svd_nano.safetensors"
PICTURE = ROOT / "web" / "pictures" / "lighthouse.png"
NAMES = ("ours", "diffusers")


def work(name: str, steps: int, threads: int, pipe: Connection) -> None:
    """Loads one pipeline, then renders a clip whenever asked: seconds of a step, of the decode and of the clip."""
    import torch
    from PIL import Image

    torch.set_num_threads(threads)
    pipeline = load(name)
    pipeline.set_progress_bar_config(disable=True)
    picture = Image.open(PICTURE).convert("RGB").resize((256, 256))
    while pipe.recv():
        ends: list[float] = []
        begin = time.perf_counter()
        frames = pipeline(
            picture, 256, 256, num_frames=14, num_inference_steps=steps, fps=7, decode_chunk_size=14,
            generator=torch.manual_seed(0), output_type="np",
            callback_on_step_end=lambda *args, ends=ends: ends.append(time.perf_counter()) or {},
        ).frames  # fmt: skip
        end = time.perf_counter()
        taken = [later - earlier for earlier, later in pairwise(ends)]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        pipe.send((statistics.median(taken), end - ends[-1], end - begin, peak, frames))


def load(name: str) -> Any:
    if name == "ours":
        from ..svd import StableVideoDiffusionPipeline

        return StableVideoDiffusionPipeline.from_pretrained(CHECKPOINT)
    return theirs()


def theirs() -> Any:
    """diffusers' pipeline with the miniature's weights.

    Its decoder takes the number of its middle blocks from the levels', which is not the miniature's: they are replaced.
    """
    import diffusers
    from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import MidBlockTemporalDecoder
    from transformers import CLIPImageProcessor

    from ..svd import checkpoint
    from ..svd.keymap import unet_table, vae_table
    from ..svd.saving import SCHEDULER

    models = checkpoint.load(CHECKPOINT)
    config, widths = models.vae.config, models.vae.config.block_out_channels
    unet = diffusers.UNetSpatioTemporalConditionModel(**models.unet.config.to_json())
    vae = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=widths,
        layers_per_block=config.layers_per_block,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        scaling_factor=config.scaling_factor,
    )
    vae.decoder.mid_block = MidBlockTemporalDecoder(
        widths[-1], widths[-1], attention_head_dim=widths[-1], num_layers=config.decoder_mid_layers
    )
    for network, ours, table in (
        (unet, models.unet, unet_table(models.unet.config)),
        (vae, models.vae, vae_table(config)),
    ):
        fill(network, ours, table)
    scheduler = diffusers.EulerDiscreteScheduler.from_config(SCHEDULER)
    return diffusers.StableVideoDiffusionPipeline(vae, models.clip, unet, scheduler, CLIPImageProcessor())


def fill(network: Any, ours: Any, table: dict[str, str]) -> None:
    """Our network's weights into diffusers', strictly."""
    from ..svd.keymap import Naming

    naming, shapes = Naming("diffusers", table=table), network.state_dict()
    weights = {naming.source(name, tuple(x.shape)).key: x for name, x in ours.state_dict().items()}
    network.load_state_dict({key: x.reshape(shapes[key].shape) for key, x in weights.items()}, strict=True)
    network.eval().requires_grad_(False)


def measure(asked: argparse.Namespace) -> dict[str, list[tuple]]:
    """The figures of every repeat, the first (a warm-up) left out."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for name in NAMES:
        pipes[name], far_end = context.Pipe()
        processes.append(context.Process(target=work, args=(name, asked.steps, asked.threads, far_end)))
        processes[-1].start()
    rows: dict[str, list[tuple]] = {name: [] for name in NAMES}
    for _ in range(asked.repeats + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            rows[name].append(pipe.recv())
            print(f"{name}: {rows[name][-1][2]:.1f} s", file=sys.stderr)
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(False)
        process.join()
    return {name: found[1:] for name, found in rows.items()}


def table(rows: dict[str, list[tuple]]) -> list[str]:
    lines = ["| median | ours | diffusers | ours / diffusers, per pair: median (range) |", "|---|---|---|---|"]
    for i, what in enumerate(("one guided step, s", "VAE decode, 14 frames, s", "whole clip, s", "peak RSS, GiB")):
        ours, theirs = ([row[i] for row in rows[name]] for name in NAMES)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"| {what} | {statistics.median(ours):.2f} | {statistics.median(theirs):.2f} | {spread} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="cpu", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()

    import diffusers
    import torch

    rows = measure(asked)
    distance = abs(rows["ours"][0][4] - rows["diffusers"][0][4]).max()
    versions = f"torch {torch.__version__}, diffusers {diffusers.__version__}, Python {platform.python_version()}"
    report = [
        "# svd-nano on the CPU, beside diffusers on the same weights",
        "",
        f"{date.today()}, {processor()}, {asked.threads} threads, {versions}",
        "",
        f"    python -m svd_nodes.bench.cpu {' '.join(sys.argv[1:])}".rstrip(),
        "",
        f"256x256, 14 frames, {asked.steps} guided steps, fp32, {asked.repeats} repeats in turns after a warm-up.",
        "",
        *table(rows),
        "",
        f"Largest difference of a pixel, in 0..1: {distance:.1e}. diffusers' residual blocks norm with epsilon 1e-6",
        "where the original, and we, use 1e-5.",
    ]
    print("\n".join(report))
    if asked.out:
        asked.out.write_text("\n".join(report) + "\n")


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
