"""A size too small for a checkpoint's levels: the same least size in the pipeline, the nodes and the command line."""

from dataclasses import replace

import oracle
import pytest
import torch
from PIL import Image
from tiny_files import checkpoint, picture
from typer.testing import CliRunner

from svd_nodes.headless.cli import app
from svd_nodes.nodes import NODES
from svd_nodes.nodes.host.standalone import Network
from svd_nodes.svd import StableVideoDiffusionPipeline
from svd_nodes.svd.conditioning import Conditioning, check_size
from svd_nodes.svd.config import UNetConfig, VAEConfig
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.unet import UNet
from svd_nodes.svd.vae import VAE
from svd_nodes.tools.random_checkpoint import preset_models

NODE = {node.GET_SCHEMA().node_id.removeprefix("StableVideo"): node for node in NODES}
NO_NORM = "Expected more than 1 value per channel"  # torch, of a norm over groups of one number


def runs(network, *arguments):
    """Whether torch takes every norm in it."""
    try:
        with torch.no_grad():
            network(*arguments)
    except ValueError as error:
        if NO_NORM in str(error):
            return False
        raise
    return True


UNETS = {
    "narrow, wide": oracle.unet_config((32, 64)),
    "wide, narrow": oracle.unet_config((64, 32)),
    "wide": oracle.unet_config((64, 96)),
    "narrow at the third of four": oracle.unet_config((64, 64, 32, 64)),
    "narrow": oracle.unet_config((32, 32, 32)),
}


@pytest.mark.parametrize("name", UNETS)
def test_a_unets_least_size_is_where_torch_can_take_its_norms(name):
    unet = oracle.randomise(UNet(UNETS[name]))
    for height, width in ((1, 1), (1, 2), (2, 2), (3, 1), (3, 3), (1, 4), (5, 4), (8, 2), (1, 9)):
        given = torch.zeros(1, 8, height, width), torch.tensor([0.1]), torch.zeros(1, 1, 32), torch.zeros(1, 3), 1
        assert runs(unet, *given) == (max(height, width) >= unet.config.least_cells), (height, width)


@pytest.mark.parametrize("channels", [(32, 64), (64, 32), (32, 32, 64), (64, 64), (32,), (32, 64, 64)])
def test_a_vaes_least_size_is_where_torch_can_take_its_norms(channels):
    vae = oracle.randomise(VAE(VAEConfig(block_out_channels=channels, layers_per_block=1, decoder_mid_layers=1)))
    for height, width in ((1, 1), (1, 2), (2, 1), (2, 2)):
        pixels = torch.zeros(1, 3, height * vae.config.downscale, width * vae.config.downscale)
        assert runs(vae.encode, pixels) == (max(height, width) >= vae.config.least_cells), (height, width)
        if max(height, width) >= vae.config.least_cells:
            assert runs(vae.decode, torch.zeros(1, 4, height, width), 1)


def test_the_sentence():
    check_size(24, 8, 8, 3)
    with pytest.raises(InputError, match=r"16 x 8 is too small for this checkpoint: use 24 x 24 or more\."):
        check_size(16, 8, 8, 3)
    with pytest.raises(InputError, match="does not divide by 16: use 16 x 32"):
        check_size(8, 24, 16, 3)


def test_full_size_checkpoints_take_any_size():
    """Their narrowest level has 128 channels."""
    assert (UNetConfig().least_cells, VAEConfig().least_cells) == (1, 1)


def test_the_pipeline():
    models = preset_models("tiny")
    pipe = StableVideoDiffusionPipeline(models.vae, models.clip, models.unet)
    pipe.set_progress_bar_config(disable=True)
    settings = {"num_frames": 1, "num_inference_steps": 1, "output_type": "latent"}
    with pytest.raises(InputError, match=r"8 x 8 is too small for this checkpoint: use 24 x 24 or more\."):
        pipe(Image.new("RGB", (9, 9)), height=8, width=8, **settings)
    assert pipe(Image.new("RGB", (9, 9)), height=8, width=24, **settings).frames.shape == (1, 1, 4, 1, 3)


def test_the_nodes():
    models = preset_models("tiny")
    encode = {"vae": Network(models.vae), "noise_aug_strength": 0.0, "seed": 0}
    with pytest.raises(InputError, match="8 x 8 is too small for this checkpoint: use 16 x 16"):
        NODE["EncodeLatent"].execute(image=torch.zeros(1, 8, 8, 3), **encode)
    told = Conditioning(torch.zeros(1, 1, 32), torch.zeros(1, 4, 2, 2), torch.zeros(1, 3))
    sampling = {"frames": 1, "steps": 1, "min_guidance": 1.0, "max_guidance": 1.0, "guidance": "constant", "seed": 0}
    with pytest.raises(InputError, match="longer side of the picture is 16, too small for this model: set it to 24"):
        NODE["Sample"].execute(model=Network(models.unet), conditioning=told, **sampling)
    wide = replace(told, concat=torch.zeros(1, 4, 1, 3))
    assert NODE["Sample"].execute(model=Network(models.unet), conditioning=wide, **sampling).result


def test_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr("svd_nodes.headless.generate.load", None)  # it is refused before the weights are read
    words = ["generate", picture(tmp_path / "a.png"), "-o", tmp_path / "a.mp4", "--checkpoint", checkpoint(tmp_path)]
    result = CliRunner().invoke(app, [*map(str, words), "--width", "16", "--height", "8", "--device", "cpu"])
    assert result.exit_code == 2
    assert "16 x 8 is too small for this checkpoint: use 24 x 24 or more." in " ".join(result.stderr.split())
