"""The Euler loop, on a network whose denoiser is known in closed form and on a random one."""

import pytest
import torch
from oracle import diffusers_unet, our_unet, relative, unet_config

from svd_nodes.svd.conditioning import Conditioning
from svd_nodes.svd.edm import c_in, c_out, c_skip, karras_sigmas
from svd_nodes.svd.errors import NonFiniteError
from svd_nodes.svd.guidance import guidance_scale
from svd_nodes.svd.noise import clip_generators, draw_noise
from svd_nodes.svd.sampler import Churn, sample, start

SIZE = (4, 4, 6)  # c h w


def conditioning(clips: int = 1, tokens: int = 1) -> Conditioning:
    generator = torch.Generator().manual_seed(7)
    return Conditioning(
        torch.randn(clips, tokens, 32, generator=generator),
        torch.randn(clips, *SIZE, generator=generator),
        torch.tensor([[6, 127, 0.02]]).repeat(clips, 1),
    )


class GaussianUNet:
    """Data of variance v around the picture's latent m: then D(x; sigma) = m + v / (v + sigma^2) (x - m) exactly."""

    dtype = torch.float32

    def __init__(self, variance: float) -> None:
        self.variance = variance
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, x_in, c_noise, context, scalars, frames):
        self.calls.append(tuple(x_in.shape))
        sigma = torch.exp(4 * c_noise)
        x, mean = x_in[:, :4] / c_in(sigma), x_in[:, 4:]
        denoised = mean + self.variance / (self.variance + sigma**2) * (x - mean)
        return (denoised - c_skip(sigma) * x) / c_out(sigma)


@pytest.fixture(scope="module")
def unet():
    config = unet_config()
    return our_unet(config, diffusers_unet(config))


def test_points_move_along_the_known_flow():
    """The probability flow of Gaussian data scales deviations by sqrt((v + next^2) / (v + sigma^2))."""
    told, variance = conditioning(), 0.5
    sigmas = karras_sigmas(400, 0.002, 80)
    noise = draw_noise(clip_generators(0, 1), 3, *SIZE)
    x = told.concat + noise * (variance + sigmas[0] ** 2).sqrt()
    result = sample(GaussianUNet(variance), told, x, sigmas, torch.ones(3))
    assert relative(result - told.concat, noise * variance**0.5) < 0.02


def test_a_point_mass_is_found_in_any_number_of_steps():
    told = conditioning()
    for steps in (1, 2, 7):
        sigmas = karras_sigmas(steps)
        x = start(draw_noise(clip_generators(0, 1), 3, *SIZE), sigmas[0])
        result = sample(GaussianUNet(0.0), told, x, sigmas, torch.ones(3))
        torch.testing.assert_close(result, told.concat.expand(3, -1, -1, -1), rtol=0, atol=2e-3)


def test_churn_keeps_the_distribution():
    """Noise added and noise removed balance: the variance of the result is still the data's."""
    told = Conditioning(torch.zeros(1, 1, 32), torch.zeros(1, 4, 40, 40), torch.zeros(1, 3))
    sigmas = karras_sigmas(1000, 0.002, 80)  # Euler's error, which churn makes larger, is not what is measured here
    for churn in (Churn(), Churn(s_churn=40), Churn(s_churn=40, s_tmin=0.05, s_tmax=50)):
        generators = clip_generators(1, 1)
        x = draw_noise(generators, 3, 4, 40, 40) * 80
        result = sample(GaussianUNet(1.0), told, x, sigmas, torch.ones(3), churn=churn, generators=generators)
        assert result.std().item() == pytest.approx(1, abs=0.03)


def test_churn_is_edms():
    """One step by hand: raise sigma, add exactly the missing noise, and let the network see the raised level."""
    churn, sigmas, told = Churn(s_churn=1.0, s_noise=1.1), torch.tensor([2.0, 0.5, 0.0]), conditioning()
    x = draw_noise(clip_generators(0, 1), 2, *SIZE) * 2
    network = GaussianUNet(0.3)
    result = sample(network, told, x, sigmas[:2], torch.ones(2), churn=churn, generators=clip_generators(9, 1))

    sigma_hat = sigmas[0] * 2**0.5  # gamma is capped at sqrt(2) - 1
    x_hat = x + (sigma_hat**2 - sigmas[0] ** 2).sqrt() * 1.1 * draw_noise(clip_generators(9, 1), 2, *SIZE)
    denoised = told.concat + 0.3 / (0.3 + sigma_hat**2) * (x_hat - told.concat)
    expected = x_hat + (x_hat - denoised) / sigma_hat * (sigmas[1] - sigma_hat)
    assert relative(result, expected) < 1e-5


def test_churn_only_inside_its_window():
    assert Churn(s_churn=5, s_tmin=1, s_tmax=10).gamma(torch.tensor(0.5), 10) == 0
    assert Churn(s_churn=5, s_tmin=1, s_tmax=10).gamma(torch.tensor(20.0), 10) == 0
    assert Churn(s_churn=2, s_tmin=1, s_tmax=10).gamma(torch.tensor(5.0), 10) == pytest.approx(0.2)


def test_guidance_is_left_out_where_it_cannot_matter():
    told, sigmas, x = conditioning(), karras_sigmas(2), torch.randn(3, *SIZE) * 700
    network = GaussianUNet(1.0)
    sample(network, told, x, sigmas, guidance_scale("linear", 1, 1, 3))
    assert {shape[0] for shape in network.calls} == {3}
    network = GaussianUNet(1.0)
    sample(network, told, x, sigmas, guidance_scale("linear", 1, 2, 3))
    assert {shape[0] for shape in network.calls} == {6}


def test_guidance_of_one_equals_no_guidance(unet):
    told, sigmas = conditioning(), karras_sigmas(3)
    x = start(draw_noise(clip_generators(0, 1), 3, *SIZE), sigmas[0])
    plain = sample(unet, told, x, sigmas, torch.ones(3))
    almost = sample(unet, told, x, sigmas, torch.full((3,), 1 + 1e-6))
    assert relative(almost, plain) < 1e-4


def test_each_clip_of_a_batch_is_the_clip_it_would_be_alone(unet):
    both, sigmas, scale = conditioning(2), karras_sigmas(3), guidance_scale("linear", 1, 3, 3)
    churn = Churn(s_churn=2)

    def run(told, seed, clips):
        generators = clip_generators(seed, clips)
        x = start(draw_noise(generators, 3, *SIZE), sigmas[0])
        return sample(unet, told, x, sigmas, scale, churn=churn, generators=generators)

    together = run(both, 5, 2)
    second = Conditioning(both.context[1:], both.concat[1:], both.scalars[1:])
    assert relative(together[3:], run(second, 6, 1)) < 1e-4


def test_the_same_seed_is_bit_equal_and_inputs_stay(unet):
    told, sigmas, scale = conditioning(), karras_sigmas(2), guidance_scale("linear", 1, 3, 3)
    x = start(draw_noise(clip_generators(1, 1), 3, *SIZE), sigmas[0])
    before = [t.clone() for t in (x, sigmas, scale, told.context, told.concat, told.scalars)]
    first, second = (sample(unet, told, x, sigmas, scale) for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, sigmas, scale, *vars(told).values()), strict=True))


def test_callback_and_state_hook():
    told, sigmas, x = conditioning(), karras_sigmas(4), torch.randn(2, *SIZE)
    seen, states = [], []
    result = sample(
        GaussianUNet(0.0),
        told,
        x,
        sigmas,
        torch.ones(2),
        callback=lambda step, total, denoised: seen.append((step, total, denoised)),
        on_state=lambda step, state: states.append((step, state)) or state + 1,
    )
    assert [(step, total) for step, total, _ in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    torch.testing.assert_close(seen[-1][2], told.concat.expand(2, -1, -1, -1), rtol=0, atol=1e-3)
    assert torch.equal(result, states[-1][1] + 1)


def test_start():
    noise, latent = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(start(noise, torch.tensor(700.0)), noise * 700.000714)
    torch.testing.assert_close(start(noise, torch.tensor(0.5), latent), latent + 0.5 * noise)


def test_starting_from_a_latent_with_little_noise_stays_near_it():
    told, sigmas = conditioning(), torch.tensor([0.1, 0.05, 0.0])
    latent = told.concat.repeat(3, 1, 1, 1) + 0.5
    x = start(draw_noise(clip_generators(0, 1), 3, *SIZE), sigmas[0], latent)
    result = sample(GaussianUNet(1.0), told, x, sigmas, torch.ones(3))
    assert (result - latent).abs().mean() < 0.15


def test_nan_is_caught_after_its_step():
    calls = []

    def broken(x_in, *args):
        calls.append(1)
        return x_in[:, :4] * (float("nan") if len(calls) == 2 else 1)

    network = type("Broken", (), {"dtype": torch.float16, "__call__": lambda self, *args: broken(*args)})()
    with pytest.raises(NonFiniteError, match="step 2 of 3: load the model in bf16 or fp32"):
        sample(network, conditioning(), torch.randn(2, *SIZE), karras_sigmas(3), torch.ones(2))


def test_noise_of_a_clip_is_its_seeds():
    both = draw_noise(clip_generators(41, 2), 2, *SIZE)
    assert torch.equal(both[2:], draw_noise(clip_generators(42, 1), 2, *SIZE))
    assert torch.equal(both[:2], torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(41)))


def test_the_largest_seed_wraps_around():
    last, first = draw_noise(clip_generators(2**64 - 1, 2), 1, *SIZE)
    assert torch.equal(first[None], draw_noise(clip_generators(0, 1), 1, *SIZE))
    assert not torch.equal(last, first)
