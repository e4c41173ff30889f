"""The parts that people bring to a pipeline: diffusers' own, wrapped ones, and what cannot be used."""

import copy

import numpy as np
import pytest
import torch
from oracle import CLIP_CONFIG, clip, diffusers_unet, diffusers_vae, unet_config
from PIL import Image
from torch import nn

from svd_nodes.svd import InputError, StableVideoDiffusionPipeline
from svd_nodes.svd.config import VAEConfig
from svd_nodes.svd.unet import UNet
from svd_nodes.svd.vae import VAE

SIZE = {"height": 32, "width": 48, "num_frames": 3, "num_inference_steps": 2, "output_type": "np"}
PICTURE = Image.radial_gradient("L").convert("RGB").resize((60, 40))
VAE_CONFIG = VAEConfig(block_out_channels=(32, 64), layers_per_block=2)

SCHEDULER = {
    "prediction_type": "v_prediction",
    "use_karras_sigmas": True,
    "timestep_type": "continuous",
    "timestep_spacing": "leading",
    "steps_offset": 1,
    "sigma_min": 0.01,
    "sigma_max": 90.0,
}


@pytest.fixture(scope="module")
def theirs():
    import diffusers
    from transformers import CLIPImageProcessor

    pipe = diffusers.StableVideoDiffusionPipeline(
        unet=diffusers_unet(unet_config(num_frames=3, sample_size=16)),
        vae=diffusers_vae(VAE_CONFIG),
        image_encoder=clip(CLIP_CONFIG),
        scheduler=diffusers.EulerDiscreteScheduler(**SCHEDULER),
        feature_extractor=CLIPImageProcessor(size=224, crop_size=224),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def ours(theirs):
    pipe = StableVideoDiffusionPipeline(**theirs.components)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def frames(pipe) -> np.ndarray:
    return pipe(PICTURE, generator=torch.Generator().manual_seed(1), **SIZE).frames


def test_diffusers_components_become_ours_and_share_their_weights(theirs, ours):
    assert np.abs(frames(ours) - frames(theirs)).max() <= 1e-4
    assert isinstance(ours.unet, UNet)
    assert isinstance(ours.vae, VAE)
    assert (ours.scheduler.sigma_min, ours.scheduler.sigma_max) == (0.01, 90.0)
    memory = {tensor.data_ptr() for tensor in theirs.unet.state_dict().values()}
    assert {tensor.data_ptr() for tensor in ours.unet.state_dict().values()} == memory


def test_a_part_put_in_place_later_is_made_ours_too(theirs, ours):
    before, trained = frames(ours), copy.deepcopy(theirs.unet)
    with torch.no_grad():
        trained.conv_out.weight.mul_(1.5)
    ours.unet = trained
    assert isinstance(ours.unet, UNet)
    assert np.abs(frames(ours) - before).max() > 1e-3


def test_wrapped_and_half_precision_parts(theirs, ours):
    expected = frames(ours)
    ours.unet = torch.compile(theirs.unet, backend="eager")
    assert np.array_equal(frames(ours), expected)
    ours.unet = nn.DataParallel(theirs.unet)
    assert np.array_equal(frames(ours), expected)
    half = copy.deepcopy(theirs.vae).half()
    ours.vae = half
    assert ours.vae.dtype == torch.float16
    assert {p.dtype for p in ours.vae.encoder.parameters()} == {torch.float32}


class SomethingElse(nn.Linear):
    config = None


@pytest.mark.parametrize(
    ("name", "part", "words"),
    [
        ("unet", SomethingElse(1, 1), "unet is a SomethingElse: give one of svd_nodes, or diffusers' UNetSpatio"),
        ("unet", "unet", "unet is a str"),
        ("unet", None, "unet is a NoneType"),
        ("vae", SomethingElse(1, 1), "vae is a SomethingElse: give one of svd_nodes, or diffusers' AutoencoderKLTemp"),
        ("image_encoder", nn.Linear(1, 1), "image_encoder is a Linear"),
        ("scheduler", SomethingElse(1, 1), "scheduler is a SomethingElse: give diffusers' EulerDiscreteScheduler"),
        ("feature_extractor", nn.Linear(1, 1), "feature_extractor is a Linear"),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_given(ours, monkeypatch, name, part, words):
    monkeypatch.setattr("svd_nodes.svd.checkpoint.open_checkpoint", lambda *_: pytest.fail("It was opened."))
    with pytest.raises(InputError, match=words):
        setattr(ours, name, part)
    with pytest.raises(InputError, match=words):
        StableVideoDiffusionPipeline.from_pretrained("anywhere", **{name: part})


def test_a_unet_with_adapters_is_told_to_merge_them(theirs, ours):
    unet = copy.deepcopy(theirs.unet)
    unet.conv_in.register_parameter("lora_A", nn.Parameter(torch.zeros(1)))
    with pytest.raises(InputError, match=r"unet has not the layers of its config .*merge them first"):
        ours.unet = unet


def test_another_parametrisation_is_refused(theirs, ours):
    import diffusers

    with pytest.raises(InputError, match="scheduler has prediction_type = 'epsilon', but SVD needs 'v_prediction'"):
        ours.scheduler = diffusers.EulerDiscreteScheduler(use_karras_sigmas=True)
    with pytest.raises(InputError, match="scheduler is a DDIMScheduler"):
        ours.scheduler = diffusers.DDIMScheduler()
