"""The schedule and the preconditioning: published numbers, diffusers' scheduler, and what the equations promise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svd_nodes.svd.edm import (
    ALIGN_YOUR_STEPS,
    align_your_steps_sigmas,
    c_in,
    c_noise,
    c_out,
    c_skip,
    karras_sigmas,
)
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.layers import sinusoid

KARRAS = {  # first four and last four above zero, from the original's code
    14: ([700, 438.922, 266.188, 155.335], [0.002]),
    20: ([700, 510.356, 366.573, 259.01], [0.0108587, 0.002]),
    25: ([700, 545.729, 421.569, 322.454], [0.0663991, 0.0248026, 0.0078825, 0.002]),
    30: ([700, 570.027, 461.313, 370.878], [0.0405951, 0.017056, 0.00633785, 0.002]),
}


@pytest.mark.parametrize("steps", KARRAS)
def test_karras_table(steps):
    first, last = KARRAS[steps]
    sigmas = karras_sigmas(steps)
    assert sigmas.dtype == torch.float32
    assert sigmas.shape == (steps + 1,)
    assert sigmas[-1] == 0
    assert sigmas[:4].tolist() == pytest.approx(first, rel=1e-5)
    assert sigmas[-1 - len(last) : -1].tolist() == pytest.approx(last, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 5, 25, 50])
def test_karras_equals_diffusers(steps):
    from diffusers import EulerDiscreteScheduler
    from test_pipeline import SCHEDULER

    scheduler = EulerDiscreteScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    np.testing.assert_allclose(karras_sigmas(steps).numpy(), scheduler.sigmas.numpy(), rtol=1e-5, atol=0)
    np.testing.assert_allclose(c_noise(karras_sigmas(steps)[:-1]).numpy(), scheduler.timesteps.numpy(), rtol=1e-5)


@given(steps=st.integers(1, 200), rho=st.floats(1, 20), schedule=st.sampled_from(["karras", "align"]))
def test_schedules_fall_from_max_to_min_to_zero(steps, rho, schedule):
    sigmas = karras_sigmas(steps, 0.01, 80, rho) if schedule == "karras" else align_your_steps_sigmas(steps, 0.01, 80)
    assert sigmas[0].item() == pytest.approx(80, rel=1e-5)
    assert (sigmas.diff() < 0).all()
    assert sigmas[-1] == 0
    if schedule == "karras" and steps > 1:
        assert sigmas[-2].item() == pytest.approx(0.01, rel=1e-4)


def test_align_your_steps_at_ten_steps_is_the_published_table():
    sigmas = align_your_steps_sigmas(10)
    assert sigmas[:-1].tolist() == pytest.approx(ALIGN_YOUR_STEPS[:-1], rel=1e-5)
    assert sigmas[-1] == 0


def test_align_your_steps_interpolates_in_log_sigma():
    sigmas = align_your_steps_sigmas(20)
    assert sigmas[:-1:2].tolist() == pytest.approx(ALIGN_YOUR_STEPS[:-1], rel=1e-5)
    assert sigmas[1].item() == pytest.approx((700 * 54.5) ** 0.5, rel=1e-5)


def test_one_step_is_the_jump_from_the_highest_sigma():
    assert karras_sigmas(1).tolist() == [700, 0]
    assert align_your_steps_sigmas(1).tolist() == pytest.approx([700, 0])


BAD = [
    ({"steps": 0}, "steps is 0"),
    ({"steps": -3}, "steps is -3"),
    ({"sigma_min": 5, "sigma_max": 1}, "sigma_min 5 is above sigma_max 1: swap them"),
    ({"sigma_min": 0}, "both must be above 0"),
    ({"sigma_max": float("inf")}, "both must be above 0 and finite"),
    ({"sigma_min": float("nan")}, "both must be above 0"),
    ({"rho": 0}, "rho is 0"),
]


@pytest.mark.parametrize(("changes", "words"), BAD)
def test_numbers_that_make_no_schedule(changes, words):
    with pytest.raises(InputError, match=words):
        karras_sigmas(**{"steps": 5, **changes})
    if "rho" not in changes:
        with pytest.raises(InputError, match=words):
            align_your_steps_sigmas(**{"steps": 5, **changes})


@given(sigma=st.floats(0.002, 700))
def test_preconditioning(sigma):
    """c_in gives unit variance in; c_out^2 = c_skip^2 sigma^2 + (1 - c_skip)^2 gives unit variance to learn."""
    s = torch.tensor(sigma, dtype=torch.float64)
    assert float(c_in(s) ** 2 * (s**2 + 1)) == pytest.approx(1)
    assert float(c_skip(s) ** 2 * s**2 + (1 - c_skip(s)) ** 2) == pytest.approx(float(c_out(s) ** 2))
    assert c_out(s) < 0


def test_noise_level_the_network_is_told():
    assert c_noise(torch.tensor(700.0)).item() == pytest.approx(1.63777, rel=1e-5)
    assert c_noise(torch.tensor(0.002)).item() == pytest.approx(-1.55365, rel=1e-5)


@pytest.mark.parametrize("channels", [32, 256, 320])
def test_sinusoid_equals_diffusers(channels):
    from diffusers.models.embeddings import Timesteps

    values = torch.tensor([0.0, 0.02, 6, 127, 300, 1023, -1.55])
    theirs = Timesteps(channels, flip_sin_to_cos=True, downscale_freq_shift=0)(values)
    torch.testing.assert_close(sinusoid(values, channels), theirs, rtol=0, atol=1e-5)


def test_sinusoid_is_fp32_whatever_comes_in():
    values = torch.tensor([127.0], dtype=torch.bfloat16)
    assert torch.equal(sinusoid(values, 64), sinusoid(values.float(), 64))
    assert sinusoid(values, 64).dtype == torch.float32
