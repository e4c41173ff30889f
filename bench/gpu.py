"""Speed and memory at full size on a CUDA card, beside diffusers and ComfyUI in the same run.

    python -m svd_nodes.bench.gpu [--frames 25 14] [--sizes 1024x576 512x512 1344x768] [--steps 25] [--diffusers]
                                  [--comfyui PATH] [--loading] [--quick] [--tiny] [--out bench/results/NAME.md]

Random weights in fp16: neither speed nor memory depends on what they have learnt. A step is one evaluation of the UNet
on a guided pair. Times are medians, taken with device events; peaks are what the allocator held at once, weights
included. "whole clip" is CLIP, VAE encode, every step, decode, and the copy of the frames to main memory; ComfyUI's is
not measured. --comfyui needs its requirements installed beside ours. --loading adds what bench/loading.py measures.
--quick leaves out the modes for less memory and others' whole clips. --tiny tries all of it with small networks, on a
CPU too.
"""

import argparse
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from itertools import product
from math import isnan
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..svd import (
    Models,
    clip_generators,
    condition,
    decode,
    draw_noise,
    encode_clip,
    encode_latent,
    guidance_scale,
    karras_sigmas,
    sample,
    start,
)
from ..svd.kernels import build
from ..svd.memory import LITTLE_ROOM as ROOM
from ..svd.streaming import Streamed
from ..svd.unet import UNet
from ..tools.random_checkpoint import preset_models
from . import loading, peers
from .measure import DEVICE, machine, milliseconds, noise, peak, seconds


class Ours:
    """A clip with our own functions."""

    def __init__(self, models: Models, frames: int, width: int, height: int, steps: int) -> None:
        self.models, self.frames, self.steps = models, frames, steps
        self.picture = torch.rand(1, 3, height, width, device=DEVICE)
        self.latent_size = height // 8, width // 8

    def step(self) -> Tensor:
        unet = self.models.unet
        x = noise(2 * self.frames, 8, *self.latent_size).to(unet.dtype)
        context = noise(2, 1, unet.config.cross_attention_dim[0]).to(unet.dtype)
        numbers = torch.tensor([[6, 127, 0.02]] * 2, device=DEVICE)
        return unet(x, torch.tensor(0.5, device=DEVICE), context, numbers, self.frames)

    def decoding(self, chunk: int | None = None, room: int | None = None) -> Tensor:
        return decode(self.models.vae, noise(self.frames, 4, *self.latent_size), self.frames, chunk, room=room)

    def clip(self, chunk: int | None = None, room: int | None = None, halves: bool = False) -> Tensor:
        return decode(self.models.vae, self.sampled(halves), self.frames, chunk, room=room).cpu()

    def told(self) -> Any:
        height, width = self.picture.shape[-2:]
        still = draw_noise(clip_generators(1, 1), 1, 3, height, width)
        image_latent = encode_latent(self.models.vae, self.picture, 0.02, still)
        return condition(encode_clip(self.models.clip, self.picture), image_latent)

    def sampled(self, halves: bool = False) -> Tensor:
        told, sigmas = self.told(), karras_sigmas(self.steps)
        x = start(draw_noise(clip_generators(2, 1), self.frames, 4, *self.latent_size), sigmas[0]).to(DEVICE)
        scale = guidance_scale("linear", 1.0, 3.0, self.frames)
        return sample(self.models.unet, told, x, sigmas, scale, halves=halves)

    def sparing_clip(self, unet: AbstractContextManager[Any], spill: bool) -> Tensor:
        """Every network on the card for its own part only. unet: brings the UNet, and takes it away again."""
        clip, vae = self.models.clip, self.models.vae
        clip.to(DEVICE), vae.to(DEVICE)
        told = self.told()
        clip.cpu(), vae.cpu()
        sigmas = karras_sigmas(self.steps)
        x = start(draw_noise(clip_generators(2, 1), self.frames, 4, *self.latent_size), sigmas[0]).to(DEVICE)
        with unet as working:
            latent = sample(working, told, x, sigmas, guidance_scale("linear", 1.0, 3.0, self.frames), halves=True)
        vae.decoder.to(DEVICE)
        images = decode(vae, latent, self.frames, 14, room=ROOM, spill=spill).cpu()
        vae.cpu()
        return images


def networks(preset: str) -> Models:
    """Made as they are loaded: their weights are ordinary tensors."""
    with torch.inference_mode(False):
        return preset_models(preset, device=DEVICE, dtype=torch.float16 if DEVICE == "cuda" else torch.float32)


@contextmanager
def brought(unet: UNet) -> Iterator[UNet]:
    """The UNet on the card, and back."""
    try:
        yield unet.to(DEVICE)
    finally:
        unet.cpu()


def measure_ours(
    models: Models, frames: int, width: int, height: int, steps: int, quick: bool = False
) -> dict[str, float]:
    """Ours at one size: everything with the models resident, then with little memory."""
    work = Ours(models, frames, width, height, steps)
    found = {"building the kernels": seconds(lambda: build(DEVICE, torch.float16))}
    found["first clip after that"] = seconds(work.clip)
    found["whole clip"] = seconds(work.clip)
    with peak() as held:
        found["step"] = milliseconds(work.step)
    found["step peak"] = held[0]
    decodings = [
        ("decode", None, None),
        ("decode in pieces", None, ROOM),
        ("decode in pieces, chunks of 14", 14, ROOM),
    ]
    for name, chunk, room in decodings[: 1 if quick else 3]:
        with peak() as held:
            found[name] = milliseconds(lambda chunk=chunk, room=room: work.decoding(chunk, room), 3) / 1000
        found[f"{name} peak"] = held[0]
    if quick:
        return found
    with peak() as held:
        found["whole clip, fast"] = seconds(lambda: work.clip(14, ROOM))
    found["whole clip, fast peak"] = held[0]
    with peak() as held:
        found["halves"] = seconds(lambda: work.clip(14, ROOM, halves=True))
    found["halves peak"] = held[0]
    return found | measure_sparing(models, work)


def measure_sparing(models: Models, work: Ours) -> dict[str, float]:
    """What the memory modes balanced and low do. The networks are in main memory before and after."""
    found: dict[str, float] = {}
    for module in (models.unet, models.vae, models.clip):
        module.cpu()
    with peak() as held:  # the UNet's way to the card is part of the time
        found["balanced"] = seconds(lambda: work.sparing_clip(brought(models.unet), spill=False))
    found["balanced peak"] = held[0]
    streamed = Streamed(models.unet, DEVICE)
    with peak() as held:
        found["low"] = seconds(lambda: work.sparing_clip(streamed.on_card(), spill=True))
    found["low peak"] = held[0]
    return found


def measure_peer(kind: Any, preset: str, *size: int, quick: bool = False, **options: Any) -> dict[str, float]:
    """One of peers.py at one size."""
    models = networks(preset)
    work = kind(models, *size, **options)
    del models.unet, models.vae
    return peers.measure(work, quick)


def table(size: str, frames: int, ours: dict[str, float], others: dict[str, dict[str, float]]) -> list[str]:
    """Ours, and beside it each of the others by name, with the ratio of our time to theirs."""
    head = ["", "ours", "peak", *(cell for name in others for cell in (name, "peak", "ratio"))]
    lines = [f"## {size}, {frames} frames", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, value in ours.items():
        if name.endswith(" peak"):
            continue
        cells = [name, _time(name, value), _gib(ours.get(f"{name} peak"))]
        for theirs in others.values():
            other = theirs.get(name)
            ratio = "" if other is None else f"{value / other:.2f}"
            cells += [_time(name, other), _gib(theirs.get(f"{name} peak")), ratio]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _time(name: str, value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms" if name == "step" else f"{value:.2f} s"


def _gib(value: float | None) -> str:
    return "" if value is None or isnan(value) else f"{value:.1f} GiB"


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="*", default=[25, 14])
    parser.add_argument("--sizes", nargs="*", default=["1024x576"], metavar="WxH")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--diffusers", action="store_true")
    parser.add_argument("--comfyui", type=Path, help="a checkout")
    parser.add_argument("--loading", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="small networks, 3 frames of 64 x 64")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if DEVICE == "cpu" and not asked.tiny:
        sys.exit("This measures at full size on a CUDA card, and there is none here; --tiny tries it.")
    lines = [
        f"# Speed and memory {'of small networks' if asked.tiny else 'at full size, fp16'}, random weights",
        "",
        f"{date.today()}, {machine()}, torch {torch.__version__}, Python {platform.python_version()}",
        "",
        f"    python -m svd_nodes.bench.gpu {' '.join(sys.argv[1:])}",
        "",
    ]
    preset = "demo" if asked.tiny else "full"
    if asked.tiny:
        asked.sizes, asked.frames, asked.steps = ["64x64"], [3], 2
    for size, frames in product(asked.sizes, asked.frames):
        shape = (frames, *map(int, size.split("x")))
        ours, others = measure_ours(networks(preset), *shape, asked.steps, asked.quick), {}
        if asked.diffusers:
            others["diffusers"] = measure_peer(peers.Diffusers, preset, *shape, quick=asked.quick, steps=asked.steps)
        if asked.comfyui:  # it builds networks of full size alone
            others["ComfyUI"] = measure_peer(peers.ComfyUI, "full", *shape, quick=asked.quick, checkout=asked.comfyui)
        report(lines, table(size, frames, ours, others), asked.out)
    if asked.loading:
        report(lines, loading.rows(preset), asked.out)


def report(lines: list[str], more: list[str], out: Path | None) -> None:
    """Prints what was found last, and writes all of it."""
    print("\n".join(more), flush=True)
    lines += more
    if out:
        out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
