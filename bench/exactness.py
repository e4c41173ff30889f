"""How far our results are from diffusers', in fp32 on the CPU with the tests' tiny random models. Prints a table.

    python -m svd_nodes.bench.exactness [--out bench/results/NAME.md]

The tests assert bounds on the same comparisons; this measures them.
"""

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the oracle: diffusers' twins of our networks

import diffusers
import numpy as np
from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing
from oracle import UNET_CONFIGS, VAE_CONFIGS, diffusers_unet, diffusers_vae, our_unet, our_vae, relative
from test_pipeline import SCHEDULER, SIZE, generators, picture, repaired_pipeline

from ..svd import StableVideoDiffusionPipeline, karras_sigmas
from ..svd.image import squash

SHAPES = [(1, 1, 8, 8), (2, 3, 9, 7), (2, 5, 16, 8), (1, 14, 12, 20)]  # clips, frames, height and width of the latent


def rows() -> Iterator[tuple[str, str]]:
    """What is compared, and the largest difference over the reference's largest value (or as said)."""
    torch.manual_seed(0)
    yield f"UNet, {len(UNET_CONFIGS)} configurations, {len(SHAPES)} sizes each", f"{max(unet_distances()):.1e}"
    encoded, decoded = zip(*vae_distances(), strict=True)
    yield f"VAE encode, {len(VAE_CONFIGS)} configurations", f"{max(encoded):.1e}"
    yield f"VAE decode, {len(VAE_CONFIGS)} configurations, 1, 3 and 6 frames", f"{max(decoded):.1e}"
    scheduler = diffusers.EulerDiscreteScheduler(**SCHEDULER)
    scheduler.set_timesteps(25)
    ratio = (karras_sigmas(25)[:-1] / scheduler.sigmas[:-1] - 1).abs().max()
    yield "Karras sigmas, 25 steps, relative", f"{ratio:.1e}"
    image = torch.rand(1, 3, 576, 1024)
    expected = (_resize_with_antialiasing(image * 2 - 1, (224, 224)) + 1) / 2
    yield "CLIP's picture from 1024 x 576, in 0..1", f"{(squash(image, 224) - expected).abs().max():.1e}"
    yield "whole pipeline, 2 pictures x 2 videos, 3 steps, on frames in 0..1", f"{pipeline_distance(True):.1e}"
    yield "the same, with diffusers' own epsilon left as it is", f"{pipeline_distance(False):.1e}"


def unet_distances() -> Iterator[float]:
    for config in UNET_CONFIGS.values():
        theirs = diffusers_unet(config)
        ours = our_unet(config, theirs)
        for clips, frames, height, width in SHAPES:
            x, context = torch.randn(clips * frames, 8, height, width), torch.randn(clips, 1, 32)
            scalars, c_noise = torch.tensor([[6, 127, 0.02]]).repeat(clips, 1), torch.tensor(0.7)
            expected = theirs(x.unflatten(0, (clips, frames)), c_noise, context, scalars).sample.flatten(0, 1)
            yield relative(ours(x, c_noise, context, scalars, frames), expected)


def vae_distances() -> Iterator[tuple[float, float]]:
    for config in VAE_CONFIGS.values():
        theirs = diffusers_vae(config)
        ours = our_vae(config, theirs)
        image, latent = torch.rand(2, 3, 32, 48) * 2 - 1, torch.randn(6, 4, 7, 9)
        encoded = relative(ours.encode(image), theirs.encode(image).latent_dist.mode())
        for frames in (1, 3, 6):
            yield encoded, relative(ours.decode(latent, frames), theirs.decode(latent, num_frames=frames).sample)


def pipeline_distance(original_epsilon: bool) -> float:
    theirs = repaired_pipeline(original_epsilon)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = StableVideoDiffusionPipeline.from_pretrained(folder)
    ours.set_progress_bar_config(disable=True)
    arguments = {**SIZE, "num_videos_per_prompt": 2, "output_type": "np"}
    pictures = [picture(0), picture(1)]
    results = [pipe(pictures, generator=generators(4), **arguments).frames for pipe in (ours, theirs)]
    return float(np.abs(results[0] - results[1]).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines = [f"| {what} | {figure} |" for what, figure in rows()]
    text = "\n".join(
        [
            "# Against diffusers, fp32, the same random weights",
            "",
            f"{date.today()}, CPU, torch {torch.__version__}, diffusers {diffusers.__version__}, "
            f"Python {platform.python_version()}",
            "",
            "    python -m svd_nodes.bench.exactness",
            "",
            "diffusers' UNet with the original's epsilon in its residual blocks, and its pipeline with the pictures'",
            "latents repeated in the order of their embeddings. Largest difference over the largest value:",
            "",
            "| compared | difference |",
            "|---|---|",
            *lines,
        ]
    )
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
