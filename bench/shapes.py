"""The whole networks at many random shapes: do the fast paths, the plain ones and decoding in pieces agree?

    python -m svd_nodes.bench.shapes [--count 200] [--out bench/results/NAME.md]

On a CUDA card, with small networks of random weights; on a CPU, where all paths are plain, it only tries itself.
Each shape is one step of a UNet and one decode, in fp16 and bf16, by the kernels and by the plain paths, which run
wherever gradients are enabled. Distances are relative L2 distances from the plain path in fp32 with the same, rounded
weights. A fast path that is more than --factor times as far from it as the plain one ends the run with an error.
"""

import argparse
import multiprocessing
import platform
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ..svd.config import UNetConfig, VAEConfig
from ..svd.decoding import decode_in_pieces
from ..svd.unet import UNet
from ..svd.vae import VAE
from ..tools.random_checkpoint import fill
from .measure import DEVICE, machine
from .precision import distance

MOST = 20_000 if DEVICE == "cuda" else 200  # places of all frames of a shape
HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Shape:
    """Clips, their frames, and the latent's height and width."""

    clips: int
    frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.clips} x {self.frames} x {self.height} x {self.width}"


def shapes(count: int, most: int, seed: int = 0) -> Iterator[Shape]:
    """1 to 3 clips of 1 to 40 frames, any sides, odd ones too, with no more than `most` places in all.

    Two is the least for a side: a norm over two numbers gives their signs, and any rounding can change those.
    """
    draw = random.Random(seed)
    while count:
        shape = Shape(draw.randint(1, 3), draw.randint(1, 40), draw.randint(2, 24), draw.randint(2, 24))
        if shape.clips * shape.frames * shape.height * shape.width <= most:
            count -= 1
            yield shape


def small_unet(*widths: int) -> UNet:
    """A UNet with a transformer on every level; its heads are 64 wide, as the kernels want them."""
    levels = len(widths)
    config = UNetConfig(
        block_out_channels=widths,
        layers_per_block=(1,) * levels,
        down_block_types=("CrossAttnDownBlockSpatioTemporal",) * levels,
        up_block_types=("CrossAttnUpBlockSpatioTemporal",) * levels,
        num_attention_heads=tuple(width // 64 for width in widths),
        transformer_layers_per_block=(1,) * levels,
        cross_attention_dim=(64,) * levels,
        addition_time_embed_dim=(32, 32, 32),
        projection_class_embeddings_input_dim=96,
    )
    return filled(UNet, config)


def small_vae(*widths: int) -> VAE:
    return filled(VAE, VAEConfig(block_out_channels=widths, layers_per_block=1))


def filled(kind: Any, config: Any) -> Any:
    """A network of random weights, drawn on the CPU."""
    with torch.device("meta"):
        module = kind(config)
    fill(module, torch.Generator().manual_seed(0), torch.float32)
    return module


def step(unet: UNet, shape: Shape) -> Tensor:
    """One evaluation on inputs that depend on the shape alone."""
    images, device = shape.clips * shape.frames, next(unet.parameters()).device
    x, context = _randn(images, 8, shape.height, shape.width), _randn(shape.clips, 1, 64)
    scalars = torch.tensor([[6, 127, 0.02], [11, 300, 0.3], [24, 1, 0.0]], device=device)[: shape.clips]
    x, context = x.to(device, unet.dtype), context.to(device, unet.dtype)
    return unet(x, torch.tensor(0.7, device=device), context, scalars, shape.frames)


def whole(vae: VAE, shape: Shape) -> Tensor:
    return vae.decode(_latent(vae, shape), shape.frames)


def pieces(vae: VAE, shape: Shape) -> Tensor:
    """The same in as many pieces as there can be."""
    return decode_in_pieces(vae, _latent(vae, shape), shape.frames, room=1)


def _latent(vae: VAE, shape: Shape) -> Tensor:
    latent = _randn(shape.clips * shape.frames, 4, shape.height, shape.width)
    return latent.to(vae.decoder.conv_in.weight.device)


def _randn(*size: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(0))


def plainly(work: Callable[[Any, Shape], Tensor], network: Any, shape: Shape) -> Tensor:
    with torch.enable_grad():  # the weights want no gradients, so nothing is kept
        return work(network, shape)


WORKS: dict[str, tuple[Any, tuple[int, int], Any, Any]] = {
    "UNet of 64 and 128 channels": (small_unet, (64, 128), step, step),
    "UNet of 320 and 128 channels": (small_unet, (320, 128), step, step),
    "decoder of 64 and 128 channels": (small_vae, (64, 128), whole, whole),
    "decoder of 64 and 320 channels": (small_vae, (64, 320), whole, whole),
    "the same in pieces": (small_vae, (64, 320), pieces, whole),
}


def rows(count: int, factor: float) -> Iterator[str]:
    """A row for every network, way and precision: the largest distances, and the shape of the largest ratio.

    On a card each is a process of its own, and they run together: most of the time is the processor's, since torch's
    libraries choose among their algorithms anew for every shape.
    """
    jobs = [(name, precision, count) for name in WORKS for precision in HALF]
    with ProcessPoolExecutor(len(jobs) if DEVICE == "cuda" else 1, multiprocessing.get_context("spawn")) as pool:
        for (name, precision, _), (fast, plain, ratio, worst) in zip(jobs, pool.map(compare, jobs), strict=True):
            if not ratio <= factor:
                sys.exit(f"{name}, {precision}, {worst}: the fast path is {ratio:.2f} times as far as the plain one.")
            yield f"| {name} | {precision} | {fast:.1e} | {plain:.1e} | {ratio:.2f} | {worst} |"


@torch.no_grad()
def compare(job: tuple[str, str, int]) -> tuple[float, float, float, str]:
    """Of a network at a precision and so many shapes: both paths' largest distances, their largest ratio, and where."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_num_threads(1 if DEVICE == "cuda" else torch.get_num_threads())
    name, precision, count = job
    make, widths, work, reference = WORKS[name]
    half = make(*widths).to(DEVICE, HALF[precision])
    drawn = list(shapes(count, MOST))
    found = [(shape, work(half, shape).cpu(), plainly(reference, half, shape).cpu()) for shape in drawn]
    single = half.float()
    measured = []
    for shape, fast, plain in found:
        exact = plainly(reference, single, shape).cpu()
        measured.append((distance(fast, exact), distance(plain, exact), str(shape)))
    usual = median(plain for _, plain, _ in measured)  # few places may happen to be exact
    ratio, worst = max((fast / max(plain, usual), shape) for fast, plain, shape in measured)
    return *(max(row[i] for row in measured) for i in (0, 1)), ratio, worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--factor", type=float, default=1.5)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines = [
        f"# Fast and plain paths at {asked.count} random shapes: largest distances from fp32",
        "",
        f"{date.today()}, {machine()}, torch {torch.__version__}, Python {platform.python_version()}",
        "",
        f"    python -m svd_nodes.bench.shapes {' '.join(sys.argv[1:])}",
        "",
        "Relative L2. Shapes are clips x frames x the latent's height x width. The ratio is of the fast path's",
        "distance to the plain path's at the same shape, or to the median of those where that is larger.",
        "",
        "| network | precision | fast | plain | largest ratio | at |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines))
    for row in rows(asked.count, asked.factor):
        lines.append(row)
        print(row, flush=True)
    if asked.out:
        asked.out.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
