"""Ways to need less memory change nothing in the result."""

from types import SimpleNamespace

import pytest
import torch
from oracle import (
    UNET_CONFIGS,
    VAE_CONFIGS,
    diffusers_unet,
    diffusers_vae,
    our_unet,
    our_vae,
    randomise,
    relative,
    unet_config,
)
from PIL import Image

from svd_nodes.nodes import memory
from svd_nodes.nodes.host import standalone
from svd_nodes.svd import Conditioning, StableVideoDiffusionPipeline, guidance_scale, karras_sigmas, sample
from svd_nodes.svd.clip import build_clip
from svd_nodes.svd.config import VAEConfig
from svd_nodes.svd.decoding import by_frames, decode, decode_in_pieces
from svd_nodes.svd.kernels.group_norm import Moments
from svd_nodes.svd.memory import CACHED_ROOM, LITTLE_ROOM, decoding_room
from svd_nodes.svd.streaming import Streamed
from svd_nodes.svd.tensorfile import read_ahead
from svd_nodes.svd.unet import UNet
from svd_nodes.svd.vae import VAE
from svd_nodes.tools.random_checkpoint import PRESETS, preset_models


@pytest.mark.parametrize("room", [1, 20_000, 300_000])
@pytest.mark.parametrize("name", ["two layers", "four levels"])
@pytest.mark.parametrize("frames", [1, 5])
def test_pieces_of_any_size_give_the_pixels_of_the_whole(name, room, frames, monkeypatch):
    monkeypatch.setattr("svd_nodes.svd.decoding.FEWEST", 7)  # so that tiny maps are cut too
    config = VAE_CONFIGS[name]
    vae = our_vae(config, diffusers_vae(config))
    latent = torch.randn(2 * frames, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    whole = vae.decode(latent, frames)
    for spill in (False, True):
        assert relative(decode_in_pieces(vae, latent, frames, room, spill), whole) <= 1e-5
    assert relative(decode(vae, latent, frames, room=room), decode(vae, latent, frames)) <= 1e-5


def test_plain_decoders_come_in_pieces_too():
    vae = randomise(VAE(VAEConfig(block_out_channels=(32, 64), temporal_decoder=False, post_quant_conv=True)))
    latent = torch.randn(3, 4, 5, 6)
    assert relative(decode_in_pieces(vae, latent, 3, 1), vae.decode(latent, 3)) <= 1e-5


@pytest.mark.parametrize(
    ("frames", "c_in", "c_out", "room"), [(1, 2, 3, 1), (2, 3, 4, 1), (7, 2, 8, 1), (9, 3, 3, 2000)]
)
def test_a_growing_map_waits_in_the_memory_of_the_larger_one(frames, c_in, c_out, room):
    """Nothing is overwritten before it is read, and the smaller map's own memory is given back at once."""
    x = torch.randn(frames, c_in, 4, 6).contiguous(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(c_in, c_out, 3, padding=1).to(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = layer(x)
        result = by_frames(layer, x, room, x.device)
    assert torch.allclose(result, expected, atol=1e-6)
    assert x.numel() == 0 or x.untyped_storage().data_ptr() == result.untyped_storage().data_ptr()


def test_a_chunk_that_fits_is_decoded_whole(monkeypatch):
    config = VAE_CONFIGS["two layers"]
    vae = our_vae(config, diffusers_vae(config))

    def refuse(*_):
        raise AssertionError("it would have fitted")

    monkeypatch.setattr("svd_nodes.svd.decoding.decode_in_pieces", refuse)
    latent = torch.randn(2, 4, 4, 4)
    decode(vae, latent, 2, room=10**9)
    with pytest.raises(AssertionError, match="fitted"):
        decode(vae, latent, 2, room=1000)


def test_a_processor_decodes_in_pieces_that_stay_in_its_cache():
    cpu = torch.device("cpu")
    assert decoding_room(cpu) == decoding_room(cpu, most=LITTLE_ROOM) == CACHED_ROOM
    assert decoding_room(cpu, most=1000) == 1000


def test_moments_far_from_zero_keep_their_digits():
    maps = (1000 + torch.randn(2, 32, 40, 50)).contiguous(memory_format=torch.channels_last)
    found, exact = Moments.of(maps), torch.var_mean(maps.double(), dim=(2, 3), correction=0)
    assert relative(found.mean[:, 0], exact[1].float()) <= 1e-6
    assert relative(found.squares[:, 0] / 2000, exact[0].float()) <= 1e-5


def told(config, clips: int) -> Conditioning:
    g = torch.Generator().manual_seed(1)
    numbers = torch.tensor([[6.0, 127.0, 0.02]]).repeat(clips, 1)
    context = torch.randn(clips, 1, config.cross_attention_dim[0], generator=g)
    return Conditioning(context, torch.randn(clips, 4, 6, 8, generator=g), numbers)


@pytest.mark.parametrize("clips", [1, 2])
def test_guidances_halves_one_by_one_give_what_they_give_together(clips):
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config))
    x = torch.randn(3 * clips, 4, 6, 8, generator=torch.Generator().manual_seed(2))
    scale = guidance_scale("linear", 1.0, 3.0, 3)
    together, apart = (sample(unet, told(config, clips), x, karras_sigmas(3), scale, halves=h) for h in (False, True))
    assert relative(apart, together) <= 2e-5


@pytest.mark.parametrize("name", ["four levels", "other levels on the way up", "two transformer layers"])
def test_streamed_weights_give_the_same_bits(name):
    config = UNET_CONFIGS[name]
    unet = our_unet(config, diffusers_unet(config))
    before = {name: p.clone() for name, p in unet.state_dict().items()}
    args = torch.randn(4, 8, 8, 8), torch.tensor(0.3), torch.randn(2, 1, 32), torch.ones(2, 3), 2
    with torch.no_grad():
        whole = unet(*args)
        streamed = Streamed(unet, "cpu")
        with streamed.on_card() as working:
            assert torch.equal(working(*args), whole)
            assert torch.equal(working(*args), whole), "the belt goes round"
        assert torch.equal(unet(*args), whole)
    assert all(torch.equal(p, before[name]) for name, p in unet.state_dict().items())
    packed = {each.memory.untyped_storage().data_ptr() for each in streamed.packed}
    layers = [p for each in streamed.packed for p in each.layer.parameters()]
    assert {p.untyped_storage().data_ptr() for p in layers} == packed, "nothing is held twice"


@pytest.mark.slow
def test_nothing_of_a_layer_is_used_once_it_has_worked():
    """Its memory is then another layer's: here it holds NaN before and after."""
    config = UNET_CONFIGS["four levels"]
    unet = our_unet(config, diffusers_unet(config))
    args = torch.randn(4, 8, 8, 8), torch.tensor(0.3), torch.randn(2, 1, 32), torch.ones(2, 3), 2
    with torch.no_grad():
        whole = unet(*args)
        stages = (*unet.input_blocks, unet.middle_block, *unet.output_blocks)
        for layer in (layer for stage in stages for layer in stage):
            kept = [(p, p.clone()) for p in layer.parameters()]
            layer.register_forward_pre_hook(lambda *_, kept=kept: [p.copy_(value) for p, value in kept] and None)
            layer.register_forward_hook(lambda *_, kept=kept: [p.fill_(torch.nan) for p, _ in kept] and None)
            for p, _ in kept:
                p.fill_(torch.nan)
        assert torch.equal(unet(*args), whole)


def test_streaming_ends_cleanly_after_an_error():
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config))
    before = {name: p.clone() for name, p in unet.state_dict().items()}
    streamed = Streamed(unet, "cpu")
    args = torch.randn(2, 8, 8, 8), torch.tensor(0.3), torch.randn(1, 1, 32), torch.ones(1, 3), 2

    def interrupted():
        with streamed.on_card() as working:
            working(*args)
            raise ZeroDivisionError

    with torch.no_grad(), pytest.raises(ZeroDivisionError):
        interrupted()
    assert all(torch.equal(p, before[name]) for name, p in unet.state_dict().items())
    assert not any(each.layer._forward_pre_hooks or each.layer._forward_hooks for each in streamed.packed)


def other_weights(unet):
    unet.load_state_dict({name: p + 0.1 for name, p in unet.state_dict().items()}, assign=True)


def another_layer(unet):
    unet.middle_block[1].proj_in = torch.nn.Linear(*[unet.middle_block[1].channels] * 2)


def another_layout(unet):
    unet.to(memory_format=torch.contiguous_format)


def a_weight_with_gaps(unet):
    layer = unet.input_blocks[1][0].in_layers[2]
    wide = torch.empty(layer.weight.shape[0], 3 * layer.weight.shape[1], 3, 3)
    wide[:, : layer.weight.shape[1]] = layer.weight
    layer.weight = torch.nn.Parameter(wide[:, : layer.weight.shape[1]], requires_grad=False)


@pytest.mark.parametrize("change", [other_weights, another_layer, another_layout, a_weight_with_gaps])
def test_what_is_changed_after_packing_is_packed_anew(change):
    config = unet_config((32, 64), (True, True))
    unet = our_unet(config, diffusers_unet(config))
    args = torch.randn(4, 8, 8, 8), torch.tensor(0.3), torch.randn(2, 1, 32), torch.ones(2, 3), 2
    streamed = Streamed(unet, "cpu")
    with torch.inference_mode(), streamed.on_card() as working:
        working(*args)
    change(unet)
    with torch.no_grad():
        expected = unet(*args)
        with streamed.on_card() as working:
            assert relative(working(*args), expected) <= 1e-6
        assert torch.equal(unet(*args), expected) or change is another_layout
    unet.requires_grad_(True)


def test_weights_read_in_the_middle_of_a_streamed_run_are_right():
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config))
    before = {name: p.clone() for name, p in unet.state_dict().items()}
    args = torch.randn(4, 8, 8, 8), torch.tensor(0.3), torch.randn(2, 1, 32), torch.ones(2, 3), 2
    with torch.no_grad(), Streamed(unet, "cpu").on_card() as working:
        working(*args)
        assert all(torch.equal(p, before[name]) for name, p in unet.state_dict().items())


def test_the_pipelines_offloading_gives_the_same_frames():
    models = preset_models("tiny")
    pipe = StableVideoDiffusionPipeline(models.vae, models.clip, models.unet, num_frames=3)
    pipe.set_progress_bar_config(disable=True)
    picture = Image.effect_noise((40, 30), 60)

    def frames():
        size = {"height": 24, "width": 32, "num_inference_steps": 2, "num_frames": 3, "output_type": "pt"}
        return pipe(picture, generator=torch.Generator().manual_seed(0), **size).frames

    plain = frames()
    pipe.enable_sequential_cpu_offload("cpu")
    once, again = frames(), frames()
    assert relative(once, plain) <= 1e-4, (
        "the halves one by one round otherwise; here within a fortieth of a grey level"
    )
    assert torch.equal(once, again), "a second call uses what the first has packed"
    pipe.enable_model_cpu_offload("cpu")
    assert torch.equal(frames(), plain)


GIB = 2**30


@pytest.mark.parametrize(
    ("asked", "free", "chosen"),
    [
        ("auto", None, "fast"),
        ("auto", 80 * GIB, "fast"),
        ("auto", 7 * GIB, "balanced"),
        ("auto", 3 * GIB, "low"),
        ("low", 80 * GIB, "low"),
        ("fast", 1 * GIB, "fast"),
    ],
)
def test_auto_looks_at_the_free_memory(asked, free, chosen):
    full = PRESETS["full"]
    with torch.device("meta"):
        networks = {"unet": UNet(full.unet), "vae": VAE(full.vae), "clip": build_clip(full.clip)}
    counted = {
        name: SimpleNamespace(config=network.config, parameters=sum(p.numel() for p in network.parameters()))
        for name, network in networks.items()
    }
    assert memory.choose(asked, SimpleNamespace(**counted, parts=counted), 2, free) == chosen


def test_every_memory_mode_runs_in_the_nodes():
    module = preset_models("tiny").vae
    for mode in memory.MODES[1:]:
        with standalone.Network(module, mode).at_work(0, "advice") as (network, device):
            assert network is module
            assert device == standalone.default_device()


def test_reading_ahead_keeps_the_order_and_passes_errors_on():
    jobs = [lambda i=i: torch.tensor(i) for i in range(10)]
    assert [int(x) for x in read_ahead(iter(jobs), ahead=3)] == list(range(10))

    def broken():
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        list(read_ahead([*jobs, broken, *jobs]))
