"""What the miniature can do, in figures, on pictures that it never saw: six photographs that scikit-image's package
holds, and the bundled picture.

python -m svd_nodes.bench.quality [--checkpoint FILE] [--device cuda] [--seeds 8] [--json FILE] [--sheets FOLDER]
Prints a table in Markdown. Motion is measured by affine fits between frames (training/motion.py). No package ships the
weights of a network for perceptual distances, so histograms of oriented gradients stand in for one (`structure`).
"""

import argparse
import importlib.util
import json
import math
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
BUNDLED = Path(__file__).parents[1] / "web/pictures/lighthouse.png"
PHOTOGRAPHS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
BUCKETS = (16, 64, 90, 128, 220)


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
    worst: float  # the largest share of it that is lost from one frame to the next
    changed: float  # distance of structure, last frame warped back against the first, inside the overlap
    way: Tensor  # mean displacement of a grid of points, 98 numbers


@dataclass(frozen=True)
class Figure:
    """One line of the table. wanted: at least, or with `most` at most; NaN: nothing."""

    name: str
    value: float
    wanted: float
    unit: str = ""
    most: bool = False


def photographs(width: int, height: int, folder: Path | None = None) -> Tensor:
    """The photographs and the bundled picture, (n 3 h w) in 0..1, from `folder` or scikit-image.

    ModuleNotFoundError says that scikit-image is not there.
    """
    if folder is None:
        found = importlib.util.find_spec("skimage")
        if found is None or found.origin is None:
            raise ModuleNotFoundError("The photographs are scikit-image's: install it with `pip install scikit-image`.")
        folder = Path(found.origin).parent / "data"
    files = [*(folder / name for name in PHOTOGRAPHS), BUNDLED]
    return torch.cat([fit_image(to_tensor(read_picture(file)), width, height) for file in files])


def animate(models: Models, images: Tensor, settings: Settings, *seeds: int) -> Tensor:
    """A clip of every picture (b 3 h w) with every seed: (s b t 3 h w) in 0..1."""
    pictures, _, height, width = images.shape
    images = images.repeat(len(seeds), 1, 1, 1)
    device, frames = images.device, settings.frames

    def generators() -> list[torch.Generator]:
        return [generator for seed in seeds for generator in clip_generators(seed, pictures)]

    noise = draw_noise(generators(), 1, 3, height, width).to(device)
    told = condition(
        encode_clip(models.clip, images), encode_latent(models.vae, images, 0.02, noise), 7, settings.bucket
    )
    sigmas = karras_sigmas(settings.steps)
    x = start(draw_noise(generators(), frames, 4, height // 8, width // 8), sigmas[0]).to(device)
    scale = guidance_scale("linear", settings.low, settings.high, frames)
    latent = sample(models.unet, told, x, sigmas, scale)
    return decode(models.vae, latent, frames).unflatten(0, (len(seeds), pictures, frames))


def psnr(a: Tensor, b: Tensor, inside: Tensor | None = None) -> float:
    """dB, of pictures in 0..1, where `inside` is 1; NaN where that is nowhere."""
    error = (a - b).square()
    mean = error.mean() if inside is None else (error * inside).sum() / (inside.sum() * a.shape[-3])
    return float(-10 * mean.clamp(min=1e-10).log10())


def high_frequencies(image: Tensor) -> Tensor:
    """Energy of what a blur of two pixels takes away."""
    blurred = F.avg_pool2d(F.pad(image[None], (2, 2, 2, 2), mode="replicate"), 5, stride=1)[0]
    return (image - blurred).square().mean()


def structure(image: Tensor, cell: int = 8) -> Tensor:
    """Histograms of oriented gradients (Dalal and Triggs 2005): 8 directions of edges a cell, of length at most 1.

    image (3 h w) -> (8 h/cell w/cell). What a picture is of stays in them when it is shifted by a pixel.
    """
    grey = F.pad(image.mean(0)[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    dx, dy = (grey[1:-1, 2:] - grey[1:-1, :-2]) / 2, (grey[2:, 1:-1] - grey[:-2, 1:-1]) / 2
    direction = torch.atan2(dy, dx).remainder(math.pi) * 8 / math.pi
    apart = (direction - torch.arange(8, device=image.device)[:, None, None] + 4).remainder(8) - 4
    votes = (1 - apart.abs()).clamp(min=0) * (dx.square() + dy.square()).sqrt()
    histogram = F.avg_pool2d(votes, cell)
    return histogram / (histogram.norm(dim=0) + 0.01)


def structural_distance(a: Tensor, b: Tensor, inside: Tensor) -> float:
    """Between pictures (3 h w) where `inside` (1 h w) is 1, at three sizes: 0 none. NaN where that is nowhere."""
    distances = []
    for _ in range(3):
        valid = (F.avg_pool2d(inside, 8) == 1).float()
        difference = (structure(a) - structure(b)).square().sum(0, keepdim=True) / 2
        if valid.any():
            distances.append(float((difference * valid).sum() / valid.sum()))
        a, b, inside = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2), (F.avg_pool2d(inside, 2) == 1).float()
    return mean(distances)


def measure(clip: Tensor, picture: Tensor) -> Measured:
    """clip (t 3 h w), picture (3 h w)."""
    height, width = clip.shape[-2:]
    steps, whole = clip_motion(clip)
    moves = flow(steps, height, width)  # t-1 49 2
    flat = moves.flatten(1)
    same = F.cosine_similarity(flat[1:], flat[:-1], dim=1) > 0
    seen, inside = warp(clip[-1:], whole)
    sharp = torch.stack([high_frequencies(frame) for frame in clip])
    return Measured(
        first=psnr(clip[0], picture),
        displacement=float(moves.norm(dim=-1).mean()),
        together=float(same.float().mean()),
        back=psnr(seen[0], clip[0], inside[0]),
        sharpness=float(sharp[-1] / sharp[0]),
        worst=float((1 - sharp[1:] / sharp[:-1]).max()),
        changed=structural_distance(seen[0], clip[0], inside[0]),
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


def row(name: str, value: float, wanted: float, unit: str = "", most: bool = False) -> str:
    met = value <= wanted if most else value >= wanted
    verdict = "not measured" if value != value else "" if wanted != wanted else "met" if met else "missed"
    limit = "" if wanted != wanted else f"{'at most ' if most else ''}{wanted:g}{unit}"
    return f"| {name} | {value:.2f}{unit} | {limit} | {verdict} |"


def clips_of(
    models: Models, images: Tensor, settings: Settings, seeds: int, buckets: Sequence[int]
) -> dict[tuple[int, int], list[Measured]]:
    """The figures of every picture's clip, by bucket and seed. A card makes the clips of all seeds at once."""
    found: dict[tuple[int, int], list[Measured]] = {}
    for bucket in buckets:
        asked = Settings(**{**vars(settings), "bucket": bucket})
        for together in torch.arange(seeds).split(8 if images.is_cuda else 1):
            made = animate(models, images, asked, *(1000 * int(seed) for seed in together))
            for seed, clips in zip(together, made, strict=True):
                found[bucket, int(seed)] = [measure(clip, image) for clip, image in zip(clips, images, strict=True)]
    return found


def figures(
    clips: dict[tuple[int, int], list[Measured]], alone: Sequence[float], still: Sequence[float]
) -> list[Figure]:
    """The table's lines. A figure whose buckets were left out is not measured."""
    buckets, seeds = sorted({bucket for bucket, _ in clips}), sorted({seed for _, seed in clips})
    pictures = range(len(next(iter(clips.values()))))

    def of(*wanted: int) -> list[Measured]:
        return [m for (bucket, _), found in clips.items() if bucket in wanted for m in found]

    growth = [
        spearman(buckets, [clips[bucket, seed][i].displacement for bucket in buckets])
        for seed in seeds
        for i in pictures
    ]
    alike = [
        float(F.cosine_similarity(clips[128, a][i].way, clips[128, b][i].way, dim=0))
        for i in pictures
        for a in seeds
        for b in seeds[:a]
        if 128 in buckets
    ]
    at_90, at_128, slow, every = of(90), of(128), of(16, 64, 90, 128), of(*buckets)
    return [
        Figure("autoencoder, single frames", mean(alone), 27.5, " dB"),
        Figure("autoencoder, 14 frames standing still", mean(still), 27.5, " dB"),
        Figure("first frame against the picture, buckets to 128", mean([m.first for m in slow]), 22, " dB"),
        Figure("displacement grows with the bucket, Spearman", mean(growth) if len(buckets) > 1 else math.nan, 0.95),
        Figure("steps that go on the same way, bucket 128", 100 * mean([m.together for m in at_128]), 90, " %"),
        Figure("last frame warped back against the first, bucket 90", mean([m.back for m in at_90]), 23, " dB"),
        Figure("the same, bucket 128", mean([m.back for m in at_128]), 22, " dB"),
        Figure("the same, all buckets", mean([m.back for m in every]), 23, " dB"),
        Figure(
            "high frequencies, last frame over first, bucket 128", 100 * mean([m.sharpness for m in at_128]), 80, " %"
        ),
        Figure("the same, all buckets", 100 * mean([m.sharpness for m in every]), 60, " %"),
        Figure(
            "worst loss of them between frames, bucket 90", 100 * mean([m.worst for m in at_90]), 8, " %", most=True
        ),
        Figure("the same, bucket 128", 100 * mean([m.worst for m in at_128]), 8, " %", most=True),
        Figure("change of structure, last frame warped back, bucket 90", mean([m.changed for m in at_90]), math.nan),
        Figure("the same, bucket 128", mean([m.changed for m in at_128]), math.nan),
        Figure("seeds that move apart (cosine below 0.9)", 100 * mean([a < 0.9 for a in alike]), 80, " %"),
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
        "all-90": [(0, 0, {"bucket": 90})],
        "all-128": [(0, 0, {"bucket": 128})],
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
            animate(models, images[:2] if several else images, Settings(**{**vars(settings), **changes}), seed * 1000)[
                0
            ]
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
    parser.add_argument("--buckets", type=counting, nargs="+", default=BUCKETS)
    parser.add_argument("--photographs", type=counting, default=len(PHOTOGRAPHS) + 1, help="only the first so many")
    parser.add_argument("--pictures", type=Path, help="a folder with the photographs, if scikit-image is not there")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--sheets", type=Path, help="a folder for contact sheets")
    asked = parser.parse_args(arguments)
    settings = Settings(asked.steps, *asked.guidance)
    try:
        images = photographs(settings.width, settings.height, asked.pictures)[: asked.photographs].to(asked.device)
    except ModuleNotFoundError as error:
        print(f"Skipped. {error}")
        return 0
    try:
        models = load(asked.checkpoint, device=asked.device)
    except InputError as error:
        parser.error(str(error))
    print(f"{len(images)} pictures, {asked.seeds} seeds; {settings}")
    alone, still = autoencoder_figures(models, images)
    clips = clips_of(models, images, settings, asked.seeds, asked.buckets)
    found = figures(clips, alone, still)
    print("\n".join(["| figure | measured | wanted | |", "|---|---|---|---|", *(row(**vars(f)) for f in found)]))
    speeds = {
        b: mean([m.displacement for (k, _), made in clips.items() if k == b for m in made]) for b in asked.buckets
    }
    print("\nDisplacement, pixels a frame, by bucket:", ", ".join(f"{b}: {v:.2f}" for b, v in speeds.items()))
    names = [name.split(".")[0] for name in (*PHOTOGRAPHS, BUNDLED.name)]
    by_picture = {n: [round(a, 2), round(b, 2)] for n, a, b in zip(names, alone, still, strict=False)}
    print("Autoencoder by picture, single frame / clip, dB:", by_picture)
    if asked.json is not None:
        told = {"settings": str(settings), "seeds": asked.seeds, "autoencoder": by_picture, "displacement": speeds}
        asked.json.write_text(json.dumps(told | {"figures": [vars(f) for f in found]}, indent=1))
    if asked.sheets is not None:
        sheets(models, images, settings, asked.sheets)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
