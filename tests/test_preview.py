"""The moving preview: all frames in one small picture."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from svd_nodes.nodes.preview import CLIPS, LONGEST, PIXELS, film_strip

FACTORS = torch.tensor([[0.35, 0.23, 0.32], [0.33, 0.5, 0.24], [-0.28, 0.18, 0.27], [-0.21, -0.26, -0.72]])


def shown(strip) -> np.ndarray:
    """t h w c"""
    pixels = np.asarray(Image.open(BytesIO(strip.jpeg)))
    assert pixels.shape == (strip.frames * strip.height, strip.width, 3)
    return pixels.reshape(strip.frames, strip.height, strip.width, 3)


def test_frames_are_below_each_other_in_order():
    latents = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 4, 8, 16)
    frames = shown(film_strip(latents, 5, FACTORS))
    expected = ((latents[:, :, 0, 0] @ FACTORS + 1) * 127.5).clamp(0, 255)
    assert np.abs(frames[:, 4, 8] - expected.numpy()).max() <= 3


def test_a_bias_shifts_the_colours():
    grey = shown(film_strip(torch.zeros(2, 4, 8, 8), 2, FACTORS, torch.tensor([0.5, 0.0, -0.5])))
    assert np.abs(grey[0, 0, 0].astype(int) - [191, 127, 63]).max() <= 3


def test_clips_of_a_batch_are_beside_each_other():
    latents = torch.cat([torch.full((3, 4, 8, 8), -2.0), torch.full((3, 4, 8, 8), 2.0)])
    frames = shown(film_strip(latents, 3, torch.full((4, 3), 0.25)))
    assert frames.shape == (3, 8, 16, 3)
    assert frames[:, :, :8].max() < 10
    assert frames[:, :, 8:].min() > 245


@pytest.mark.parametrize(
    ("clips", "frames", "height", "width"),
    [(1, 25, 72, 128), (4, 25, 72, 128), (9, 14, 72, 128), (1, 120, 128, 72), (1, 1, 1024, 1024), (1, 64, 1, 1024)],
)
def test_the_size_is_bounded_whatever_the_clip(clips, frames, height, width):
    strip = film_strip(torch.zeros(clips * frames, 4, height, width), frames, FACTORS)
    assert strip.frames * strip.height * strip.width <= PIXELS
    assert strip.frames * strip.height <= max(LONGEST, frames)
    shown(strip)
    if clips == 1 and height > 1:
        assert strip.width / strip.height == pytest.approx(width / height, rel=0.1)


def test_only_the_first_clips_of_a_large_batch_are_shown():
    strip = film_strip(torch.zeros(9 * 2, 4, 8, 8), 2, FACTORS)
    assert strip.width == 8 * CLIPS


def test_numbers_out_of_range_stay_colours():
    frames = shown(film_strip(torch.full((2, 4, 8, 8), 1e4), 2, FACTORS.abs()))
    assert frames.min() == 255


def test_the_latents_are_left_alone():
    latents = torch.randn(3, 4, 8, 8)
    before = latents.clone()
    film_strip(latents, 3, FACTORS)
    assert torch.equal(latents, before)
