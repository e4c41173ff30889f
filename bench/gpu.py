"""Speed and memory at full size on a CUDA card, beside diffusers in the same run.

    python -m svd_nodes.bench.gpu [--frames 25 14] [--sizes 1024x576 512x512 1344x768] [--steps 25] [--diffusers]
                                  [--out bench/results/NAME.md]

Random weights in fp16: neither speed nor memory depends on what they have learnt. A step is one evaluation of the UNet
on a guided pair. Times are medians, taken with device events; peaks are what the allocator held at once, weights
included. "whole clip" is CLIP, VAE encode, every step, decode, and the copy of the frames to main memory.
"""

import argparse
import gc
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import median
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
from ..svd.keymap import unet_table, vae_table
from ..svd.streaming import Streamed
from ..tools.random_checkpoint import preset_models
from .precision import fill

GIB = 2**30
ROOM = 2**29


def milliseconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """The median of some repeats, after one to warm up."""
    work()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(repeats + 1)]
    events[0].record()
    for event in events[1:]:
        work()
        event.record()
    torch.cuda.synchronize()
    return median(a.elapsed_time(b) for a, b in pairwise(events))


def seconds(work: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    begin = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


@contextmanager
def peak() -> Iterator[list[float]]:
    """A list that holds, after the block, the peak in GiB."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    found: list[float] = []
    yield found
    torch.cuda.synchronize()
    found.append(torch.cuda.max_memory_allocated() / GIB)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator("cuda").manual_seed(0), device="cuda")


class Ours:
    """A clip with our own functions."""

    def __init__(self, models: Models, frames: int, width: int, height: int, steps: int) -> None:
        self.models, self.frames, self.steps = models, frames, steps
        self.picture = torch.rand(1, 3, height, width, device="cuda")
        self.latent_size = height // 8, width // 8

    def step(self) -> Tensor:
        x = noise(2 * self.frames, 8, *self.latent_size).half()
        context, numbers = noise(2, 1, 1024).half(), torch.tensor([[6, 127, 0.02]] * 2, device="cuda")
        return self.models.unet(x, torch.tensor(0.5, device="cuda"), context, numbers, self.frames)

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
        x = start(draw_noise(clip_generators(2, 1), self.frames, 4, *self.latent_size), sigmas[0]).cuda()
        scale = guidance_scale("linear", 1.0, 3.0, self.frames)
        return sample(self.models.unet, told, x, sigmas, scale, halves=halves)

    def low_memory_clip(self, streamed: Streamed) -> Tensor:
        """Every network on the card for its own part only, the UNet's weights layer by layer."""
        clip, vae = self.models.clip, self.models.vae
        clip.cuda(), vae.cuda()
        told = self.told()
        clip.cpu(), vae.cpu()
        sigmas = karras_sigmas(self.steps)
        x = start(draw_noise(clip_generators(2, 1), self.frames, 4, *self.latent_size), sigmas[0]).cuda()
        with streamed.on_card() as unet:
            latent = sample(unet, told, x, sigmas, guidance_scale("linear", 1.0, 3.0, self.frames), halves=True)
        vae.decoder.cuda()
        images = decode(vae, latent, self.frames, 14, room=ROOM, spill=True).cpu()
        vae.cpu()
        return images


class Theirs:
    """The same work in diffusers' modules, holding our weights; its whole clip is its pipeline's."""

    def __init__(self, models: Models, frames: int, width: int, height: int, steps: int) -> None:
        from diffusers import AutoencoderKLTemporalDecoder, EulerDiscreteScheduler, UNetSpatioTemporalConditionModel
        from diffusers import StableVideoDiffusionPipeline as Pipeline
        from transformers import CLIPImageProcessor

        with torch.device("meta"):
            self.unet = UNetSpatioTemporalConditionModel(**models.unet.config.to_json())
            self.vae = AutoencoderKLTemporalDecoder(
                block_out_channels=models.vae.config.block_out_channels,
                layers_per_block=models.vae.config.layers_per_block,
                down_block_types=("DownEncoderBlock2D",) * 4,
            )
        fill(self.unet, models.unet, unet_table(models.unet.config), torch.float16)
        fill(self.vae, models.vae, vae_table(models.vae.config), torch.float16)
        scheduler = EulerDiscreteScheduler(
            prediction_type="v_prediction", use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0,
            timestep_type="continuous", timestep_spacing="leading", steps_offset=1,
        )  # fmt: skip
        self.pipe = Pipeline(self.vae, models.clip, self.unet, scheduler, CLIPImageProcessor())
        self.pipe.set_progress_bar_config(disable=True)
        self.frames, self.steps, self.size = frames, steps, (height, width)

    def step(self) -> Tensor:
        height, width = (side // 8 for side in self.size)
        x, context = noise(2, self.frames, 8, height, width).half(), noise(2, 1, 1024).half()
        numbers = torch.tensor([[6, 127, 0.02]] * 2, device="cuda", dtype=torch.float16)
        return self.unet(x, torch.tensor(0.5, device="cuda"), context, numbers).sample

    def decoding(self, chunk: int | None = None) -> Tensor:
        latent = noise(self.frames, 4, *(side // 8 for side in self.size)).half()
        pieces = latent.split(chunk or self.frames)
        return torch.cat([self.vae.decode(piece, num_frames=len(piece)).sample for piece in pieces])

    def clip(self, chunk: int | None = None) -> Any:
        from PIL import Image

        height, width = self.size
        picture = Image.effect_noise((width, height), 80).convert("RGB")
        options = {"num_inference_steps": self.steps, "num_frames": self.frames, "output_type": "np"}
        return self.pipe(picture, height, width, decode_chunk_size=chunk or self.frames, **options).frames


def measure_ours(frames: int, width: int, height: int, steps: int) -> dict[str, float]:
    """Ours at one size: everything with the models resident, then with little memory."""
    models = preset_models("full", seed=0, device="cuda", dtype=torch.float16)
    work = Ours(models, frames, width, height, steps)
    found = {"building the kernels": seconds(lambda: build("cuda", torch.float16))}
    found["first clip after that"] = seconds(work.clip)
    found["whole clip"] = seconds(work.clip)
    with peak() as held:
        found["step"] = milliseconds(work.step)
    found["step peak"] = held[0]
    for name, chunk, room in (
        ("decode", None, None),
        ("decode in pieces", None, ROOM),
        ("decode in pieces, chunks of 14", 14, ROOM),
    ):
        with peak() as held:
            found[name] = milliseconds(lambda chunk=chunk, room=room: work.decoding(chunk, room), 3) / 1000
        found[f"{name} peak"] = held[0]
    with peak() as held:
        found["whole clip, fast"] = seconds(lambda: work.clip(14, ROOM))
    found["whole clip, fast peak"] = held[0]
    with peak() as held:
        found["halves"] = seconds(lambda: work.clip(14, ROOM, halves=True))
    found["halves peak"] = held[0]
    models.vae.cpu(), models.clip.cpu()
    streamed = Streamed(models.unet, "cuda")
    with peak() as held:
        found["low"] = seconds(lambda: work.low_memory_clip(streamed))
    found["low peak"] = held[0]
    return found


def measure_theirs(frames: int, width: int, height: int, steps: int) -> dict[str, float]:
    models = preset_models("full", seed=0, device="cuda", dtype=torch.float16)
    work = Theirs(models, frames, width, height, steps)
    del models.unet, models.vae
    with peak() as held:
        found = {"step": milliseconds(work.step, 3)}
    found["step peak"] = held[0]
    with peak() as held:
        found["decode"] = milliseconds(work.decoding, 1) / 1000
    found["decode peak"] = held[0]
    found["whole clip"] = seconds(work.clip)
    return found


def table(size: str, frames: int, ours: dict[str, float], theirs: dict[str, float]) -> list[str]:
    lines = [
        f"## {size}, {frames} frames",
        "",
        "| | ours | peak | diffusers | peak | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for name, value in ours.items():
        if name.endswith(" peak"):
            continue
        unit = "ms" if name == "step" else "s"
        cells = [f"{value:.0f} ms" if unit == "ms" else f"{value:.2f} s", _gib(ours.get(f"{name} peak"))]
        other = theirs.get(name)
        cells += ["" if other is None else f"{other:.0f} ms" if unit == "ms" else f"{other:.2f} s"]
        cells += [_gib(theirs.get(f"{name} peak")), "" if other is None else f"{value / other:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _gib(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} GiB"


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[25, 14])
    parser.add_argument("--sizes", nargs="+", default=["1024x576"], metavar="WxH")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--diffusers", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("This measures at full size on a CUDA card, and there is none here.")
    lines = [
        "# Speed and memory at full size, fp16, random weights",
        "",
        f"{date.today()}, {torch.cuda.get_device_name()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}",
        "",
        f"    python -m svd_nodes.bench.gpu {' '.join(sys.argv[1:])}",
        "",
    ]
    for size in asked.sizes:
        for frames in asked.frames:
            width, height = map(int, size.split("x"))
            ours = measure_ours(frames, width, height, asked.steps)
            torch.cuda.empty_cache()
            theirs = measure_theirs(frames, width, height, asked.steps) if asked.diffusers else {}
            torch.cuda.empty_cache()
            lines += table(size, frames, ours, theirs)
            print("\n".join(lines), flush=True)
            if asked.out:
                asked.out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
