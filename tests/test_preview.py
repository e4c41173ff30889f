"""The moving preview: all frames in one small picture."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from svd_nodes.nodes.preview import CLIPS, LONGEST, PIXELS, Colours, film_strip, own_colours
from svd_nodes.svd.checkpoint import load
from svd_nodes.svd.config import UNetConfig

FACTORS = torch.tensor([[0.35, 0.23, 0.32], [0.33, 0.5, 0.24], [-0.28, 0.18, 0.27], [-0.21, -0.26, -0.72]])


def plain(factors=FACTORS, bias=(0.0, 0.0, 0.0)) -> Colours:
    """Colours of each pixel alone; factors: (4, 3)."""
    return Colours(factors.T[:, :, None, None], torch.tensor(bias))


PLAIN = plain()


def shown(strip) -> np.ndarray:
    """t h w c"""
    pixels = np.asarray(Image.open(BytesIO(strip.jpeg)))
    assert pixels.shape == (strip.frames * strip.height, strip.width, 3)
    return pixels.reshape(strip.frames, strip.height, strip.width, 3)


def test_frames_are_below_each_other_in_order():
    latents = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 4, 8, 16)
    frames = shown(film_strip(latents, 5, PLAIN))
    expected = ((latents[:, :, 0, 0] @ FACTORS + 1) * 127.5).clamp(0, 255)
    assert np.abs(frames[:, 4, 8] - expected.numpy()).max() <= 3


def test_a_bias_shifts_the_colours():
    grey = shown(film_strip(torch.zeros(2, 4, 8, 8), 2, plain(bias=(0.5, 0.0, -0.5))))
    assert np.abs(grey[0, 0, 0].astype(int) - [191, 127, 63]).max() <= 3


def test_clips_of_a_batch_are_beside_each_other():
    latents = torch.cat([torch.full((3, 4, 8, 8), -2.0), torch.full((3, 4, 8, 8), 2.0)])
    frames = shown(film_strip(latents, 3, plain(torch.full((4, 3), 0.25))))
    assert frames.shape == (3, 8, 16, 3)
    assert frames[:, :, :8].max() < 10
    assert frames[:, :, 8:].min() > 245


@pytest.mark.parametrize(
    ("clips", "frames", "height", "width"),
    [(1, 25, 72, 128), (4, 25, 72, 128), (9, 14, 72, 128), (1, 120, 128, 72), (1, 1, 1024, 1024), (1, 64, 1, 1024)],
)
def test_the_size_is_bounded_whatever_the_clip(clips, frames, height, width):
    strip = film_strip(torch.zeros(clips * frames, 4, height, width), frames, PLAIN)
    assert strip.frames * strip.height * strip.width <= PIXELS
    assert strip.frames * strip.height <= max(LONGEST, frames)
    shown(strip)
    if clips == 1 and height > 1:
        assert strip.width / strip.height == pytest.approx(width / height, rel=0.1)


def test_only_the_first_clips_of_a_large_batch_are_shown():
    strip = film_strip(torch.zeros(9 * 2, 4, 8, 8), 2, PLAIN)
    assert strip.width == 8 * CLIPS


def test_numbers_out_of_range_stay_colours():
    frames = shown(film_strip(torch.full((2, 4, 8, 8), 1e4), 2, plain(FACTORS.abs())))
    assert frames.min() == 255


def test_the_latents_are_left_alone():
    latents = torch.randn(3, 4, 8, 8)
    before = latents.clone()
    film_strip(latents, 3, PLAIN)
    assert torch.equal(latents, before)


def test_the_colours_of_svd_nano_are_its_own():
    """They stand for its decoder: a picture of the kind it was not fitted to comes out recognisable."""
    pack = Path(__file__).parents[1]
    models = load(pack / "assets" / "checkpoints" / "svd_nano.safetensors")
    picture = Image.open(pack / "web" / "pictures" / "lighthouse.png").convert("RGB").resize((256, 256))
    target = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        latent = models.vae.encode(target) * models.vae.config.scaling_factor
    small = torch.nn.functional.avg_pool2d(target, 8)

    def error(colours: Colours) -> float:
        return float(((colours.of(latent) - small) ** 2).mean().sqrt())

    assert error(own_colours(models.unet.config)) < 0.1
    assert error(PLAIN) > 0.6


def test_a_pixel_sees_its_neighbours_and_the_border_is_no_edge():
    mean = Colours(torch.full((3, 4, 3, 3), 1 / 36), torch.zeros(3))
    assert torch.allclose(mean.of(torch.full((1, 4, 5, 6), 0.5)), torch.full((1, 3, 5, 6), 0.5))
    spot = torch.zeros(1, 4, 5, 5)
    spot[:, :, 2, 2] = 9.0
    assert (mean.of(spot)[0, 0] > 0).sum() == 9


def test_full_models_share_stable_diffusion_s_colours():
    assert own_colours(UNetConfig()) is None
