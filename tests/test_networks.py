"""The networks against diffusers' own, fp32, the same random weights, in several shapes of model."""

import sys

import pytest
import torch
from kernel_device import DEVICE, kernels, needs_triton
from oracle import (
    CLIP_CONFIG,
    UNET_CONFIGS,
    VAE_CONFIGS,
    clip,
    diffusers_unet,
    diffusers_vae,
    our_unet,
    our_vae,
    randomise,
    relative,
    unet_config,
)
from torch import nn
from torch.nn import functional as F

from svd_nodes.bench.shapes import Shape, pieces, plainly, rows, shapes, small_unet, small_vae, step, whole
from svd_nodes.svd.clip import build_clip, clip_shapes
from svd_nodes.svd.config import CLIPConfig, UNetConfig, VAEConfig
from svd_nodes.svd.decoding import decode
from svd_nodes.svd.errors import InputError
from svd_nodes.svd.kernels import add_feed_forward
from svd_nodes.svd.kernels.feed_forward import PIECE
from svd_nodes.svd.unet import UNet
from svd_nodes.svd.vae import VAE

TOLERANCE = 1e-5
SCALARS = torch.tensor([[6, 127, 0.02], [11, 300, 0.3]])


@pytest.mark.parametrize("name", UNET_CONFIGS)
def test_unet_equals_diffusers(name):
    """Ours with gradients, and without: then sums take their place in memory, and vectors are added late."""
    config = UNET_CONFIGS[name]
    theirs = diffusers_unet(config)
    ours = our_unet(config, theirs)
    torch.manual_seed(0)
    for clips, frames, height, width, tokens in [(1, 1, 8, 8, 1), (2, 3, 9, 7, 1), (2, 5, 16, 8, 1), (2, 3, 8, 6, 3)]:
        x = torch.randn(clips * frames, 8, height, width)
        context, c_noise = torch.randn(clips, tokens, 32), torch.tensor(0.7)
        expected = theirs(x.unflatten(0, (clips, frames)), c_noise, context, SCALARS[:clips]).sample.flatten(0, 1)
        for gradients in (True, False):
            with torch.set_grad_enabled(gradients):
                assert relative(ours(x, c_noise, context, SCALARS[:clips], frames), expected) <= TOLERANCE


@pytest.mark.parametrize("name", VAE_CONFIGS)
def test_vae_equals_diffusers(name):
    config = VAE_CONFIGS[name]
    theirs = diffusers_vae(config)
    ours = our_vae(config, theirs)
    torch.manual_seed(0)
    image = torch.rand(2, 3, 32, 48) * 2 - 1
    assert relative(ours.encode(image), theirs.encode(image).latent_dist.mode()) <= TOLERANCE
    latent = torch.randn(6, 4, 7, 9)
    for frames in (1, 3, 6):
        assert relative(ours.decode(latent, frames), theirs.decode(latent, num_frames=frames).sample) <= TOLERANCE


def test_many_shapes_without_gradients_and_in_pieces():
    """Without gradients sums take their place in memory and vectors are added late. Pieces are as small as can be."""
    unet, vae = small_unet(64, 128), small_vae(32, 64)
    for shape in shapes(30, most=150):
        with torch.no_grad():
            assert relative(step(unet, shape), plainly(step, unet, shape)) <= 1e-4, shape
            assert relative(pieces(vae, shape), plainly(whole, vae, shape)) <= 1e-5, shape


@needs_triton
@pytest.mark.slow
@pytest.mark.skipif(DEVICE == "cuda", reason="On a card, hundreds of shapes are run instead.")
def test_kernels_together_give_what_the_plain_paths_give(monkeypatch):
    """All of them in one network, in the interpreter; small maps too are upsampled in phases."""
    monkeypatch.setattr(sys.modules["svd_nodes.svd.kernels.upsample_conv"], "FEWEST", 1)
    unet, vae, shape = small_unet(64, 128), small_vae(32, 64), Shape(1, 2, 4, 2)
    with torch.no_grad(), kernels() as taken:
        result = step(unet, shape)
    everywhere = {"group_norm", "temporal_conv", "upsample_conv"}
    transformers = {"geglu", "layer_norm", "mix", "spatial_attention", "temporal_attention"}
    assert taken == everywhere | transformers
    assert relative(result, plainly(step, unet, shape)) <= 1e-5
    with torch.no_grad(), kernels() as taken:
        result = pieces(vae, shape)
    assert taken == everywhere
    assert relative(result, plainly(whole, vae, shape)) <= 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="There is no CUDA device.")
def test_many_shapes_on_a_card():
    with torch.no_grad():
        assert len(list(rows(200, factor=1.5))) == 10


def test_full_size_has_the_published_number_of_weights():
    with torch.device("meta"):
        unet, vae = UNet(UNetConfig()), VAE(VAEConfig())
        image_decoder = VAE(VAEConfig(temporal_decoder=False, post_quant_conv=True))
        sv3d = [
            UNet(UNetConfig(projection_class_embeddings_input_dim=size, addition_time_embed_dim=dims))
            for size, dims in ((256, (256,)), (1280, (256, 512, 512)))
        ]
    assert (_count(unet), len(unet.state_dict())) == (1_524_623_082, 1428)
    assert (_count(vae), len(vae.state_dict())) == (97_742_847, 374)
    assert (_count(image_decoder), len(image_decoder.state_dict())) == (83_653_863, 248)
    assert [_count(model) for model in sv3d] == [1_523_967_722, 1_525_278_442]


def test_no_three_dimensional_convolution():
    """Conv3d is missing on some devices (MPS): the temporal kernels are 2-D convolutions on another view."""
    with torch.device("meta"):
        modules = [*UNet(unet_config()).modules(), *VAE(VAEConfig(block_out_channels=(32, 64))).modules()]
    assert not any(isinstance(module, torch.nn.Conv3d) for module in modules)


def test_one_context_token_needs_no_queries():
    """Repeating the only token gives the general path the same answer: softmax over equal keys is an average."""
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config))
    x, context = torch.randn(4, 8, 8, 8), torch.randn(1, 1, 32)
    args = torch.tensor(0.3), SCALARS[:1], 4
    short = unet(x, args[0], context, *args[1:])
    general = unet(x, args[0], context.repeat(1, 2, 1), *args[1:])
    assert relative(short, general) <= TOLERANCE


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_forward_chunking_changes_nothing(dim, chunk_size):
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config))
    args = torch.randn(4, 8, 8, 6), torch.tensor(0.3), torch.randn(2, 1, 32), SCALARS, 2
    whole = unet(*args)
    unet.enable_forward_chunking(chunk_size, dim)
    assert relative(unet(*args), whole) <= 2e-6  # matrix products of other shapes round otherwise
    unet.disable_forward_chunking()
    assert torch.equal(unet(*args), whole)
    with pytest.raises(ValueError, match="dim is 2"):
        unet.enable_forward_chunking(1, 2)
    with pytest.raises(ValueError, match="chunk_size is -1"):
        unet.enable_forward_chunking(-1)


@pytest.mark.slow
@pytest.mark.skipif(torch.__version__ < "2.6", reason="torch 2.5 cannot trace dataclasses.replace.")
@pytest.mark.parametrize("chunk", [None, 2])
def test_torch_compile_takes_the_unet_in_one_piece(chunk):
    """It is given the plain paths, which run wherever gradients are enabled."""
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config))
    if chunk is not None:
        unet.enable_forward_chunking(chunk)
    args = torch.randn(6, 8, 9, 7), torch.tensor(0.3), torch.randn(2, 1, 32), SCALARS, 3
    expected = unet(*args)
    with torch.no_grad():
        unet.compile(fullgraph=True, backend="eager")  # what the compiler is given, run as it is
        assert torch.equal(unet(*args), expected)


def test_a_batch_of_two_clips_is_two_clips():
    config = unet_config((32, 64, 96))
    unet = our_unet(config, diffusers_unet(config))
    x, context, c_noise = torch.randn(6, 8, 8, 12), torch.randn(2, 1, 32), torch.tensor(0.3)
    both = unet(x, c_noise, context, SCALARS, 3)
    singles = [unet(x[3 * i : 3 * i + 3], c_noise, context[i : i + 1], SCALARS[i : i + 1], 3) for i in range(2)]
    assert relative(both, torch.cat(singles)) <= 1e-5


def test_each_clip_may_have_its_own_noise_level_and_each_frame_its_own_numbers():
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config))
    x, context = torch.randn(6, 8, 8, 8), torch.randn(2, 1, 32)
    levels = torch.tensor([0.3, -0.8])
    both = unet(x, levels, context, SCALARS, 3)
    second = unet(x[3:], levels[1], context[1:], SCALARS[1:], 3)
    assert relative(both[3:], second) <= 1e-5
    per_frame = SCALARS[:, None].repeat(1, 3, 1)
    assert relative(unet(x, levels, context, per_frame, 3), both) <= 1e-6
    per_frame[0, 1, 0] += 3
    assert relative(unet(x, levels, context, per_frame, 3), both) > 1e-3


def test_networks_change_neither_their_inputs_nor_their_weights():
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config))
    args = [torch.randn(2, 8, 8, 8), torch.tensor(0.3), torch.randn(1, 1, 32), SCALARS[:1].clone()]
    before = [x.clone() for x in (*args, *unet.state_dict().values())]
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            unet(*args, 2)
    assert all(torch.equal(x, y) for x, y in zip((*args, *unet.state_dict().values()), before, strict=True))


def test_decoding_in_one_chunk_is_decoding_whole_and_chunks_never_span_clips():
    config = VAE_CONFIGS["two layers"]
    vae = our_vae(config, diffusers_vae(config))
    latent = torch.randn(6, 4, 4, 4) * 0.2
    whole = decode(vae, latent, 3)
    assert torch.equal(decode(vae, latent, 3, 3), whole)
    assert torch.equal(decode(vae, latent, 3, 100), whole)
    pairs = decode(vae, latent, 3, 2)
    assert torch.equal(pairs[:3], decode(vae, latent[:3], 3, 2))
    assert not torch.allclose(pairs, whole, atol=1e-4), "the chunk size is part of the result"


def test_weights_train():
    """Every weight that a clip can reach gets a gradient: the miniature is trained with these modules."""
    config = unet_config()
    unet = our_unet(config, diffusers_unet(config)).requires_grad_(True)
    unet(torch.randn(4, 8, 8, 8), torch.tensor(0.3), torch.randn(2, 1, 32), SCALARS, 2).square().mean().backward()
    without = {name for name, p in unet.named_parameters() if p.grad is None or not p.grad.abs().max() > 0}
    unused = {name for name in without if any(part in name for part in ("attn2.to_q", "attn2.to_k", "norm2"))}
    assert without == unused  # with one context token these have no part in the result


def test_clip_equals_transformers():
    theirs = clip(CLIP_CONFIG)
    ours = build_clip(CLIP_CONFIG)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    pixels = torch.randn(2, 3, 224, 224)
    assert torch.equal(ours(pixel_values=pixels).image_embeds, theirs(pixel_values=pixels).image_embeds)


@pytest.mark.parametrize("config", [CLIP_CONFIG, CLIPConfig(), CLIPConfig(num_hidden_layers=1, projection_dim=7)])
def test_the_clip_that_inspect_expects_is_the_one_that_is_built(config):
    assert clip_shapes(config) == {name: tuple(t.shape) for name, t in build_clip(config).state_dict().items()}


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def test_feed_forward_in_pieces_is_the_whole():
    torch.manual_seed(0)
    first, last = nn.Linear(8, 64), nn.Linear(32, 8)
    x, y = torch.randn(3, PIECE - 100, 8), torch.randn(3, PIECE - 100, 8)
    value, gate = first(y).chunk(2, dim=-1)
    whole = x + last(value * F.gelu(gate))
    result, bias = add_feed_forward(x, y, first, last)
    assert result.data_ptr() == x.data_ptr()
    torch.testing.assert_close(result + bias, whole, atol=1e-5, rtol=1e-5)


def unet_inputs():
    torch.manual_seed(0)
    return torch.randn(6, 8, 9, 7), torch.tensor(0.3), torch.randn(2, 1, 32), SCALARS, 3


def _hooked(layer):
    layer.register_forward_hook(lambda module, given, result: 1.5 * result)


def _replaced(layer):
    layer.forward = lambda x, old=layer.forward: 1.5 * old(x)


class Adapter(nn.Linear):
    def forward(self, x):
        return 1.5 * super().forward(x)


def _of_another_class(layer):
    layer.__class__ = Adapter


@pytest.mark.parametrize("change", [_hooked, _replaced, _of_another_class])
def test_a_layer_that_does_more_than_its_class_is_called(change):
    """Adapters, hosts' classes and hooks: a network gives the same without gradients as with them."""
    unet = randomise(UNet(unet_config()))
    linear = [module for module in unet.modules() if isinstance(module, nn.Linear)]
    given = unet_inputs()
    plain = unet(*given)
    for layer in linear:
        change(layer)
    expected = unet(*given)
    with torch.no_grad():
        found = unet(*given)
    assert relative(found, expected) <= 1e-5
    assert relative(plain, expected) > 1e-2


def test_a_transformer_keeps_what_wants_gradients():
    """Recomputing it later (reentrant checkpoints) needs its input as it was."""
    unet = randomise(UNet(unet_config()))
    transformer = next(module for module in unet.modules() if hasattr(module, "time_pos_embed"))
    x = torch.randn(6, transformer.channels, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    before = x.detach().clone()
    with torch.no_grad():
        transformer(x, unet_inputs()[2], torch.randn(3, transformer.channels))
    assert torch.equal(x, before)


def test_counts_that_do_not_fit_are_said():
    unet = UNet(unet_config())
    x, *others, frames = unet_inputs()
    with pytest.raises(InputError, match="5 images, 2 contexts"):
        unet(x[:5], *others, frames)
    with pytest.raises(InputError, match="no whole clips of 2"):
        decode(VAE(VAEConfig(block_out_channels=(32, 64))), torch.zeros(5, 4, 2, 2), 2)
