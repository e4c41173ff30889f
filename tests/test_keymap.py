"""The table of renames, against the recorded table of the full model and against diffusers' own modules."""

import gzip
from pathlib import Path

import oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svd_nodes.svd.clip import build_clip
from svd_nodes.svd.config import CLIPConfig, UNetConfig, VAEConfig
from svd_nodes.svd.keymap import Naming, clip_config, clip_table, inverse, rename, unet_table, vae_table
from svd_nodes.svd.unet import UNet
from svd_nodes.svd.vae import VAE

GOLDEN = Path(__file__).parent / "data" / "svd_keymap.tsv.gz"
AUTOENCODER = "conditioner.embedders.3.encoder."
SINGLE_VAE = {
    "encoder": AUTOENCODER + "encoder",
    "quant_conv": AUTOENCODER + "quant_conv",
    "decoder": "first_stage_model.decoder",
}
VISUAL = "conditioner.embedders.0.open_clip.model.visual."


def on_meta(build, *arguments, **named):
    with torch.device("meta"):
        return build(*arguments, **named)


def shapes(module):
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def sources(module, naming):
    return {name: naming.source(name, shape) for name, shape in shapes(module).items()}


def golden(component):
    """(single-file key, shape, diffusers key, shape) of every tensor of the full model, as published."""
    rows = (line.split("\t") for line in gzip.decompress(GOLDEN.read_bytes()).decode().splitlines()[1:])
    size = lambda text: tuple(map(int, text.split("x")))  # noqa: E731
    return {(row[1], size(row[2]), row[4], size(row[5])) for row in rows if row[0] == component}


@pytest.mark.parametrize("component", ["unet", "vae", "clip"])
def test_the_full_model_is_named_as_published(component):
    module, single, folder = {
        "unet": lambda: (
            on_meta(UNet, UNetConfig()),
            Naming("single", "model.diffusion_model."),
            Naming("diffusers", "", unet_table(UNetConfig())),
        ),
        "vae": lambda: (
            on_meta(VAE, VAEConfig()),
            Naming("single", "", SINGLE_VAE),
            Naming("diffusers", "", vae_table(VAEConfig())),
        ),
        "clip": lambda: (build_clip(CLIPConfig()), Naming("single", VISUAL, clip_table(32)), Naming("diffusers")),
    }[component]()
    ours, theirs = sources(module, single), sources(module, folder)
    pairs = {(ours[name].key, ours[name].shape, theirs[name].key, theirs[name].shape) for name in ours}
    assert pairs == golden(component)


def test_parameter_counts_of_the_full_model():
    count = lambda module: sum(tensor.numel() for tensor in module.state_dict().values())  # noqa: E731
    assert count(on_meta(UNet, UNetConfig())) == 1_524_623_082
    assert count(on_meta(VAE, VAEConfig())) == 97_742_847
    assert count(build_clip(CLIPConfig())) == 632_076_800
    for width, dims, expected in ((256, (256,), 1_523_967_722), (1280, (256, 512, 512), 1_525_278_442)):
        config = UNetConfig(projection_class_embeddings_input_dim=width, addition_time_embed_dim=dims)
        assert count(on_meta(UNet, config)) == expected


def assert_same_names(ours, theirs, table):
    """Ours and theirs correspond one to one, with equal shapes, and the table can be inverted."""
    found = sources(ours, Naming("diffusers", "", table))
    assert {source.key: source.shape for source in found.values()} == shapes(theirs)
    back = inverse(table)
    assert len(back) == len(table)
    assert all(rename(back, source.key) == name for name, source in found.items())


def assert_unet_fits(config):
    from diffusers import UNetSpatioTemporalConditionModel

    theirs = on_meta(UNetSpatioTemporalConditionModel, **config.to_json())
    assert_same_names(on_meta(UNet, config), theirs, unet_table(config))


@pytest.mark.parametrize("name", oracle.UNET_CONFIGS)
def test_unet_names_are_diffusers(name):
    assert_unet_fits(oracle.UNET_CONFIGS[name])


@pytest.mark.slow
@given(st.data())
@settings(max_examples=8, deadline=None)
def test_unet_names_are_diffusers_for_any_config(data):
    levels = data.draw(st.integers(2, 4))
    each = lambda values: tuple(data.draw(st.lists(values, min_size=levels, max_size=levels)))  # noqa: E731
    up = tuple("CrossAttnUpBlockSpatioTemporal" if a else "UpBlockSpatioTemporal" for a in each(st.booleans()))
    config = oracle.unet_config(
        each(st.sampled_from((32, 64))),
        each(st.booleans()),
        layers_per_block=each(st.integers(1, 3)),
        transformer_layers_per_block=each(st.integers(1, 2)),
        cross_attention_dim=each(st.sampled_from((8, 16))),
    )
    config = UNetConfig.from_json(config.to_json() | {"up_block_types": list(up)})
    assert_unet_fits(config)
    read = UNetConfig.from_shapes(shapes(on_meta(UNet, config)))
    assert shapes(on_meta(UNet, read)) == shapes(on_meta(UNet, config))


@pytest.mark.parametrize("name", oracle.VAE_CONFIGS)
def test_vae_names_are_diffusers(name):
    config = oracle.VAE_CONFIGS[name]
    assert_same_names(on_meta(VAE, config), on_meta(_diffusers_vae, config), vae_table(config))


def _diffusers_vae(config):
    from diffusers import AutoencoderKLTemporalDecoder

    return AutoencoderKLTemporalDecoder(
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        down_block_types=("DownEncoderBlock2D",) * len(config.block_out_channels),
    )


def test_clip_names_are_open_clips_and_its_config_can_be_read_from_them():
    config = CLIPConfig(
        hidden_size=160, intermediate_size=200, num_hidden_layers=3, num_attention_heads=2, patch_size=56
    )
    found = sources(build_clip(config), Naming("single", "", clip_table(3)))
    assert found["vision_model.encoder.layers.2.self_attn.k_proj.bias"].third == 1
    assert found["visual_projection.weight"].transposed
    assert clip_config({source.key: source.shape for source in found.values()}) == config


def test_a_name_outside_the_table_is_kept():
    assert rename({"a.b": "x"}, "a.b.weight") == "x.weight"
    assert rename({"a.b": "x", "a.b.c": "y"}, "a.b.c.weight") == "y.weight"
    assert rename({"a.b": "x"}, "a.bc.weight") == "a.bc.weight"
    assert rename({}, "weight") == "weight"
