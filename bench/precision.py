"""Full size on a GPU in fp32, fp16 and bf16: is everything finite, how far from fp32, how long, how much memory.

    python -m svd_nodes.bench.precision [--frames 14 25] [--steps 2] [--diffusers] [--out bench/results/NAME.md]

Random weights: speed and memory do not depend on them; whether half precision suits the trained ones may. With
--diffusers the same run times diffusers' networks, holding the same weights.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from ..svd import (
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
from ..svd.keymap import Naming, unet_table, vae_table
from ..tools.random_checkpoint import preset_models

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass
class Row:
    """One clip: seconds and GiB by stage, and the results for comparison, on the CPU."""

    latent: Tensor
    frames: Tensor
    step: float
    decode: float
    peak_step: float
    peak_decode: float


def measured(work: Callable[[], Tensor]) -> tuple[Tensor, float, float]:
    """The result, seconds, and peak GiB of some work on the GPU."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    result = work()
    torch.cuda.synchronize()
    return result, time.perf_counter() - begin, torch.cuda.max_memory_allocated() / 2**30


@torch.inference_mode()
def run(dtype: torch.dtype, frames: int, steps: int, width: int, height: int, chunk: int) -> Row:
    """One clip of our own, from picture to frames; the second of two, so that warming up is not timed."""
    models = preset_models("full", seed=0, device="cuda", dtype=dtype)
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)).cuda()
    noise = draw_noise(clip_generators(2, 1), 1, 3, height, width)
    told = condition(encode_clip(models.clip, picture), encode_latent(models.vae, picture, 0.02, noise))
    sigmas, scale = karras_sigmas(steps).cuda(), guidance_scale("linear", 1.0, 3.0, frames)
    x = start(draw_noise(clip_generators(3, 1), frames, 4, height // 8, width // 8).cuda(), sigmas[0])

    def clip() -> Tensor:
        return sample(models.unet, told, x, sigmas, scale)

    measured(clip)
    latent, step_seconds, step_peak = measured(clip)
    measured(lambda: decode(models.vae, latent, frames, chunk))
    images, decode_seconds, decode_peak = measured(lambda: decode(models.vae, latent, frames, chunk))
    return Row(latent.cpu(), images.cpu(), step_seconds / steps, decode_seconds, step_peak, decode_peak)


@torch.inference_mode()
def run_diffusers(dtype: torch.dtype, frames: int, width: int, height: int, chunk: int) -> tuple[float, float]:
    """Seconds of diffusers' UNet on one guided step and of its VAE's decode, with our weights in its modules."""
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel

    models = preset_models("full", seed=0, device="cuda", dtype=dtype)
    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(**models.unet.config.to_json())
        vae = AutoencoderKLTemporalDecoder(
            block_out_channels=models.vae.config.block_out_channels,
            layers_per_block=models.vae.config.layers_per_block,
            down_block_types=("DownEncoderBlock2D",) * 4,
        )
    fill(unet, models.unet, unet_table(models.unet.config), dtype)
    fill(vae, models.vae, vae_table(models.vae.config), dtype)
    del models
    x = torch.randn(2, frames, 8, height // 8, width // 8, device="cuda", dtype=dtype)
    context = torch.randn(2, 1, 1024, device="cuda", dtype=dtype)
    numbers = torch.tensor([[6, 127, 0.02]] * 2, device="cuda", dtype=dtype)
    latent = torch.randn(frames, 4, height // 8, width // 8, device="cuda", dtype=dtype)

    def step() -> Tensor:
        return unet(x, torch.tensor(0.5, device="cuda"), context, numbers).sample

    def decoding() -> Tensor:
        return torch.cat([vae.decode(piece, num_frames=len(piece)).sample for piece in latent.split(chunk)])

    measured(step)
    measured(decoding)
    return measured(step)[1], measured(decoding)[1]


def fill(theirs: torch.nn.Module, ours: torch.nn.Module, table: dict[str, str], dtype: torch.dtype) -> None:
    naming, weights, wanted = Naming("diffusers", table=table), ours.state_dict(), theirs.state_dict()
    keys = {naming.source(name, tuple(tensor.shape)).key: name for name, tensor in weights.items()}
    state = {key: weights[keys[key]].reshape(tensor.shape).to(dtype).contiguous() for key, tensor in wanted.items()}
    theirs.load_state_dict(state, assign=True)
    theirs.to(next(ours.parameters()).device).eval()


def distance(x: Tensor, reference: Tensor) -> float:
    """||x - reference|| / ||reference||"""
    return float((x.double() - reference.double()).norm() / reference.double().norm())


def table(rows: dict[tuple[int, str], Row], frame_counts: list[int]) -> str:
    lines = [
        "| frames | precision | finite | latent, from fp32 | frames, from fp32 (mean of 0..255) | step | peak "
        "| decode | peak |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for frames in frame_counts:
        reference = rows[frames, "fp32"]
        for name in DTYPES:
            row = rows[frames, name]
            finite = bool(row.latent.isfinite().all() and row.frames.isfinite().all())
            pixels = float((row.frames - reference.frames).abs().mean()) * 255
            lines.append(
                f"| {frames} | {name} | {'yes' if finite else 'NO'} | {distance(row.latent, reference.latent):.1e} "
                f"| {pixels:.3f} | {row.step * 1000:.0f} ms | {row.peak_step:.1f} GiB "
                f"| {row.decode:.2f} s | {row.peak_decode:.1f} GiB |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[14, 25])
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--height", type=int, default=576)
    parser.add_argument("--chunk", type=int, default=7, help="frames decoded at a time")
    parser.add_argument("--diffusers", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("This measures at full size on a CUDA card, and there is none here.")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # the reference is really fp32

    size = (asked.width, asked.height, asked.chunk)
    rows: dict[tuple[int, str], Row] = {}
    for frames in asked.frames:
        for name, dtype in DTYPES.items():
            rows[frames, name] = run(dtype, frames, asked.steps, *size)
            torch.cuda.empty_cache()
    text = (
        f"# Precision at full size, {asked.width} x {asked.height}, {asked.steps} steps, random weights\n\n"
        f"{date.today()}, {torch.cuda.get_device_name()}, torch {torch.__version__}, "
        f"Python {platform.python_version()}\n\n"
        f"    python -m svd_nodes.bench.precision {' '.join(sys.argv[1:])}\n\n"
        f"A step is a guided pair. Decoding in chunks of {asked.chunk} frames. Distances are relative L2.\n\n"
        + table(rows, asked.frames)
    )
    if asked.diffusers:
        lines = ["\n\n| frames, fp16 | step | diffusers | decode | diffusers |", "|---|---|---|---|---|"]
        for frames in asked.frames:
            step, decoding = run_diffusers(torch.float16, frames, *size)
            torch.cuda.empty_cache()
            ours = rows[frames, "fp16"]
            cells = f"{ours.step * 1000:.0f} ms", f"{step * 1000:.0f} ms", f"{ours.decode:.2f} s", f"{decoding:.2f} s"
            lines.append(f"| {frames} | {' | '.join(cells)} |")
        text += "\n".join(lines)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
