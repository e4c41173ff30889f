"""What the UNet is told of a picture."""

import pytest
import torch
from oracle import CLIP_CONFIG, VAE_CONFIGS, clip, diffusers_vae, our_vae

from svd_nodes.svd.conditioning import Conditioning, ImageLatent, check_size, condition, encode_clip, encode_latent
from svd_nodes.svd.errors import InputError, NonFiniteError
from svd_nodes.svd.layers import sinusoid
from svd_nodes.svd.noise import clip_generators, draw_noise


@pytest.fixture(scope="module")
def vae():
    config = VAE_CONFIGS["two layers"]
    return our_vae(config, diffusers_vae(config))


def test_noise_has_the_strength_told_in_minus_one_to_one(vae, monkeypatch):
    """ComfyUI core adds it in 0..1 before stretching to -1..1, which doubles it."""
    seen = []
    monkeypatch.setattr(vae, "encode", lambda x: seen.append(x) or x[:, :1])
    image = torch.full((1, 3, 128, 128), 0.25)
    encode_latent(vae, image, 0.1, draw_noise(clip_generators(0, 1), 1, 3, 128, 128))
    assert seen[0].mean().item() == pytest.approx(-0.5, abs=2e-3)
    assert seen[0].std().item() == pytest.approx(0.1, rel=0.02)


def test_encoding_is_seeded_per_picture(vae):
    images = torch.rand(2, 3, 8, 8)
    both = encode_latent(vae, images, 0.1, draw_noise(clip_generators(3, 2), 1, 3, 8, 8))
    second = encode_latent(vae, images[1:], 0.1, draw_noise(clip_generators(4, 1), 1, 3, 8, 8))
    torch.testing.assert_close(both.latent[1:], second.latent, rtol=0, atol=1e-5)
    assert both.noise_aug_strength == 0.1


def test_no_noise_needs_no_generator(vae):
    image = torch.rand(1, 3, 8, 12)
    torch.testing.assert_close(encode_latent(vae, image, 0).latent, vae.encode(2 * image - 1))
    with pytest.raises(InputError, match="noise of the picture's shape is needed"):
        encode_latent(vae, image, 0.02)


def test_clip_embedding_has_one_token():
    network = clip(CLIP_CONFIG)
    images = torch.rand(2, 3, 50, 70)
    embedding = encode_clip(network, images)
    assert embedding.shape == (2, 1, 32)
    torch.testing.assert_close(embedding[1:], encode_clip(network, images[1:]), rtol=0, atol=1e-5)
    assert embedding.norm(dim=-1).max() != pytest.approx(1), "the embedding is not normalised"


def test_condition_embeds_fps_minus_one():
    told = condition(torch.ones(2, 1, 8), ImageLatent(torch.ones(2, 4, 3, 3), 0.02), fps=7, motion_bucket_id=127)
    assert told.scalars.tolist() == [pytest.approx([6, 127, 0.02])] * 2
    assert told.scalars.dtype == torch.float32


@pytest.mark.parametrize("fps", [23.976, 29.97, 12.5, 1, 1024.0])
def test_fractions_of_a_frame_per_second_are_embedded_too(fps):
    latent = ImageLatent(torch.ones(1, 4, 3, 3), 0.02)
    told = condition(torch.ones(1, 1, 8), latent, fps=fps)
    assert told.scalars[0, 0].item() == pytest.approx(fps - 1, rel=1e-6)
    near = [sinusoid(condition(torch.ones(1, 1, 8), latent, fps=x).scalars[0, 0], 64) for x in (fps, fps + 0.03)]
    assert 1e-3 < (near[0] - near[1]).abs().max() < 0.04, "between its neighbours, as near as the numbers are"


def test_unconditional_is_zeros_with_the_same_numbers():
    told = Conditioning(torch.ones(1, 1, 8), torch.ones(1, 4, 3, 3), torch.ones(1, 3))
    nothing = told.unconditional()
    assert nothing.context.abs().max() == nothing.concat.abs().max() == 0
    assert torch.equal(nothing.scalars, told.scalars)
    assert told.context.min() == 1


def test_numbers_stay_fp32_for_a_half_precision_network():
    told = Conditioning(torch.ones(1, 1, 8), torch.ones(1, 4, 3, 3), torch.tensor([[6, 300, 0.02]]))
    half = told.to("cpu", torch.bfloat16)
    assert half.context.dtype == half.concat.dtype == torch.bfloat16
    assert torch.equal(half.scalars, told.scalars)


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": 0},
        {"fps": float("nan")},
        {"fps": float("inf")},
        {"motion_bucket_id": -1},
        {"motion_bucket_id": float("nan")},
    ],
)
def test_bad_numbers(changes):
    with pytest.raises(InputError, match=next(iter(changes))):
        condition(torch.ones(1, 1, 8), ImageLatent(torch.ones(1, 4, 3, 3), 0.02), **changes)


def test_encodings_of_different_numbers_of_pictures():
    with pytest.raises(InputError, match="2 CLIP embeddings but 1 latents"):
        condition(torch.ones(2, 1, 8), ImageLatent(torch.ones(1, 4, 3, 3), 0.02))


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_bad_strength(vae, strength):
    with pytest.raises(InputError, match="noise_aug_strength"):
        encode_latent(vae, torch.rand(1, 3, 8, 8), strength, torch.zeros(1, 3, 8, 8))


def test_a_size_that_does_not_divide_names_the_nearest():
    with pytest.raises(InputError, match="1023 x 570 does not divide by 8: use 1024 x 568"):
        check_size(1023, 570)
    check_size(1024, 576)


def test_a_latent_that_is_not_finite_is_named(vae, monkeypatch):
    monkeypatch.setattr(vae, "encode", lambda x: torch.full_like(x, float("nan")))
    with pytest.raises(NonFiniteError, match="The picture's latent came out NaN"):
        encode_latent(vae, torch.rand(1, 3, 8, 8), 0)
