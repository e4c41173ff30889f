"""What the miniature can do, in figures, on photographs that it never saw: those that scikit-image's package holds.

python -m svd_nodes.bench.quality [--checkpoint FILE] [--device cuda] [--sheets FOLDER]
Prints a table in Markdown. Motion is measured by affine fits between frames (training/motion.py).
"""

import argparse
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..svd.checkpoint import Models, load
from ..svd.conditioning import condition, encode_clip, encode_latent
from ..svd.decoding import decode
from ..svd.edm import karras_sigmas
from ..svd.errors import InputError
from ..svd.guidance import guidance_scale
from ..svd.image import fit_image, read_picture, to_pil, to_tensor
from ..svd.noise import clip_generators, draw_noise
from ..svd.sampler import sample, start
from ..training.motion import clip_motion, flow, warp

CHECKPOINT = Path(__file__).parents[1] / "assets/checkpoints/svd_nano.safetensors"
PHOTOGRAPHS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
BUCKETS = (16, 64, 128, 220)


@dataclass(frozen=True)
class Settings:
    """How a clip is made: guidance as in the template `quickstart`."""

    steps: int = 15
    low: float = 1.0
    high: float = 2.0
    frames: int = 14
    bucket: float = 128
    width: int = 256
    height: int = 256

    def __str__(self) -> str:
        return (
            f"{self.frames} frames, {self.steps} steps, guidance {self.low:g} to {self.high:g}, bucket {self.bucket:g}"
        )


@dataclass(frozen=True)
class Measured:
    """The figures of one clip."""

    first: float  # dB, first frame against the picture
    displacement: float  # pixels a step
    together: float  # share of steps that go the same way as the one before
    back: float  # dB, last frame warped back against the first, inside the overlap
    sharpness: float  # high-frequency energy, last frame over first
    way: Tensor  # mean displacement of a grid of points, 98 numbers


def photographs(width: int, height: int) -> Tensor:
    """(n 3 h w) in 0..1. ModuleNotFoundError says that scikit-image is not there."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("The photographs are scikit-image's: install it with `pip install scikit-image`.")
    folder = Path(found.origin).parent / "data"
    return torch.cat([fit_image(to_tensor(read_picture(folder / name)), width, height) for name in PHOTOGRAPHS])


def animate(models: Models, images: Tensor, settings: Settings, seed: int) -> Tensor:
    """A clip of every picture (b 3 h w): (b t 3 h w) in 0..1."""
    b, _, height, width = images.shape
    device, frames = images.device, settings.frames
    noise = draw_noise(clip_generators(seed, b), 1, 3, height, width).to(device)
    told = condition(
        encode_clip(models.clip, images), encode_latent(models.vae, images, 0.02, noise), 7, settings.bucket
    )
    sigmas = karras_sigmas(settings.steps)
    x = start(draw_noise(clip_generators(seed, b), frames, 4, height // 8, width // 8), sigmas[0]).to(device)
    scale = guidance_scale("linear", settings.low, settings.high, frames)
    latent = sample(models.unet, told, x, sigmas, scale)
    return decode(models.vae, latent, frames).unflatten(0, (b, frames))


def psnr(a: Tensor, b: Tensor, inside: Tensor | None = None) -> float:
    """dB, of pictures in 0..1, where `inside` is 1; NaN where that is nowhere."""
    error = (a - b).square()
    mean = error.mean() if inside is None else (error * inside).sum() / (inside.sum() * a.shape[-3])
    return float(-10 * mean.clamp(min=1e-10).log10())


def high_frequencies(image: Tensor) -> Tensor:
    """Energy of what a blur of two pixels takes away."""
    blurred = F.avg_pool2d(F.pad(image[None], (2, 2, 2, 2), mode="replicate"), 5, stride=1)[0]
    return (image - blurred).square().mean()


def measure(clip: Tensor, picture: Tensor) -> Measured:
    """clip (t 3 h w), picture (3 h w)."""
    height, width = clip.shape[-2:]
    steps, whole = clip_motion(clip)
    moves = flow(steps, height, width)  # t-1 49 2
    flat = moves.flatten(1)
    same = F.cosine_similarity(flat[1:], flat[:-1], dim=1) > 0
    seen, inside = warp(clip[-1:], whole)
    return Measured(
        first=psnr(clip[0], picture),
        displacement=float(moves.norm(dim=-1).mean()),
        together=float(same.float().mean()),
        back=psnr(seen[0], clip[0], inside[0]),
        sharpness=float(high_frequencies(clip[-1]) / high_frequencies(clip[0])),
        way=flat.mean(dim=0),
    )


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Rank correlation; equal values share their mean rank."""
    ranks = []
    for values in (a, b):
        x = torch.tensor(values, dtype=torch.float64)
        ranks.append((x[:, None] > x).sum(1) + ((x[:, None] == x).sum(1) - 1) / 2.0)
    x, y = (rank - rank.mean() for rank in ranks)
    return float((x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-12))


def autoencoder_figures(models: Models, images: Tensor, frames: int = 14) -> tuple[list[float], list[float]]:
    """dB of every photograph: as a single frame, and standing still for a clip."""
    latent = encode_latent(models.vae, images, 0.0).latent * models.vae.config.scaling_factor
    single = decode(models.vae, latent, 1)
    clips = decode(models.vae, latent.repeat_interleave(frames, dim=0), frames).unflatten(0, (-1, frames))
    alone = [psnr(a, b) for a, b in zip(single, images, strict=True)]
    return alone, [psnr(a, b[None]) for a, b in zip(clips, images, strict=True)]


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def row(name: str, value: float, wanted: float, unit: str = "") -> str:
    verdict = "not measured" if value != value else "met" if value >= wanted else "missed"
    return f"| {name} | {value:.2f}{unit} | {wanted:g}{unit} | {verdict} |"


def table(models: Models, images: Tensor, settings: Settings, seeds: int) -> list[str]:
    """The figures as the lines of a Markdown table."""
    clips: dict[tuple[int, int], list[Measured]] = {}
    for bucket in BUCKETS:
        for seed in range(seeds):
            made = animate(models, images, Settings(**{**vars(settings), "bucket": bucket}), seed * 1000)
            clips[bucket, seed] = [measure(clip, image) for clip, image in zip(made, images, strict=True)]
    pictures, every = range(len(images)), [m for found in clips.values() for m in found]
    growth = [
        spearman(BUCKETS, [clips[bucket, seed][i].displacement for bucket in BUCKETS])
        for seed in range(seeds)
        for i in pictures
    ]
    at_128 = [m for (bucket, _), found in clips.items() if bucket == 128 for m in found]
    slow = [m for (bucket, _), found in clips.items() if bucket <= 128 for m in found]
    alike = [
        float(F.cosine_similarity(clips[128, a][i].way, clips[128, b][i].way, dim=0))
        for i in pictures
        for a in range(seeds)
        for b in range(a)
    ]
    alone, still = autoencoder_figures(models, images)
    sizes = [f"{b}: {mean([m.displacement for (k, _), f in clips.items() if k == b for m in f]):.2f}" for b in BUCKETS]
    return [
        "| figure | measured | wanted | |",
        "|---|---|---|---|",
        row("autoencoder, single frames", mean(alone), 25, " dB"),
        row("autoencoder, 14 frames standing still", mean(still), 25, " dB"),
        row("first frame against the picture, buckets to 128", mean([m.first for m in slow]), 22, " dB"),
        row("displacement grows with the bucket, Spearman", mean(growth), 0.95),
        row("steps that go on the same way, bucket 128", 100 * mean([m.together for m in at_128]), 90, " %"),
        row("last frame warped back against the first, bucket 128", mean([m.back for m in at_128]), 20, " dB"),
        row("the same, all buckets", mean([m.back for m in every]), 20, " dB"),
        row("high frequencies, last frame over first", 100 * mean([m.sharpness for m in every]), 60, " %"),
        row("seeds that move apart (cosine of two moves below 0.9)", 100 * mean([a < 0.9 for a in alike]), 80, " %"),
        "",
        f"Displacement, pixels a frame, by bucket: {', '.join(sizes)}.",
        "Autoencoder by photograph, single frame / clip, dB: "
        + ", ".join(f"{n.split('.')[0]} {a:.1f} / {b:.1f}" for n, a, b in zip(PHOTOGRAPHS, alone, still, strict=False)),
    ]


def contact_sheet(clips: Tensor, columns: int = 7, side: int = 128) -> Image.Image:
    """Every clip (b t 3 h w) as a row of `columns` of its frames."""
    b, t = clips.shape[:2]
    chosen = clips[:, [round(i * (t - 1) / (columns - 1)) for i in range(columns)]].flatten(0, 1)
    small = F.interpolate(chosen, size=(side, side * clips.shape[-1] // clips.shape[-2]), mode="area")
    rows = small.unflatten(0, (b, columns)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)
    return to_pil(rows[None])[0]


def sheets(models: Models, images: Tensor, settings: Settings, folder: Path) -> None:
    """One contact sheet for each of the ways that must give coherent clips."""
    variants = {
        "buckets": [(b, 0, {"bucket": b}) for b in BUCKETS],
        "seeds": [(s, s, {}) for s in range(4)],
        "guidance-1": [(0, 0, {"high": 1.0})],
        "guidance-2.5": [(0, 0, {"high": 2.5})],
        "steps-10": [(0, 0, {"steps": 10})],
        "steps-25": [(0, 0, {"steps": 25})],
        "frames-25": [(0, 0, {"frames": 25})],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, asked in variants.items():
        several = len(asked) > 1
        made = [
            animate(models, images[:2] if several else images, Settings(**{**vars(settings), **changes}), seed * 1000)
            for _, seed, changes in asked
        ]
        contact_sheet(torch.cat(made)).save(folder / f"{name}.png", optimize=True)


def counting(text: str) -> int:
    """A whole number from 1, as an argument."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="quality", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=counting, default=3)
    parser.add_argument("--steps", type=counting, default=15)
    parser.add_argument("--guidance", type=float, nargs=2, default=(Settings.low, Settings.high))
    parser.add_argument("--photographs", type=counting, default=len(PHOTOGRAPHS), help="only the first so many")
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets")
    asked = parser.parse_args(arguments)
    settings = Settings(asked.steps, *asked.guidance)
    try:
        images = photographs(settings.width, settings.height)[: asked.photographs].to(asked.device)
    except ModuleNotFoundError as error:
        print(f"Skipped. {error}")
        return 0
    try:
        models = load(asked.checkpoint, device=asked.device)
    except InputError as error:
        parser.error(str(error))
    print(f"{len(images)} photographs, {asked.seeds} seeds; {settings}")
    print("\n".join(table(models, images, settings, asked.seeds)))
    if asked.sheets is not None:
        sheets(models, images, settings, asked.sheets)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
