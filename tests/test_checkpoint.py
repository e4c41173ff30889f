"""Checkpoints: what is recognised, what is refused and in which words, and that both layouts hold the same model."""

import json
import os
import pickle
import struct
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import oracle
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from svd_nodes.svd.checkpoint import check, load, open_checkpoint, save
from svd_nodes.svd.config import VAEConfig
from svd_nodes.svd.errors import InputError
from svd_nodes.tools.random_checkpoint import PRESETS, preset_models, random_models

UNET, FIRST, AUTOENCODER = "model.diffusion_model.", "first_stage_model.", "conditioner.embedders.3.encoder."
VISUAL = "conditioner.embedders.0.open_clip.model.visual."
TINY = PRESETS["tiny"]


def state(models):
    """All weights of all three networks by name."""
    modules = {"unet": models.unet, "vae": models.vae, "clip": models.clip}
    return {
        f"{part}.{name}": tensor for part, module in modules.items() for name, tensor in module.state_dict().items()
    }


def assert_equal(ours, theirs):
    """Bit-equal weights, and the same configs."""
    ours_state, theirs_state = state(ours), state(theirs)
    assert ours_state.keys() == theirs_state.keys()
    for name, tensor in ours_state.items():
        assert tensor.dtype == theirs_state[name].dtype, name
        assert torch.equal(tensor, theirs_state[name]), name
    assert ours.vae.config == theirs.vae.config
    assert replace(ours.unet.config, num_frames=None) == replace(theirs.unet.config, num_frames=None)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Thousands of tiny tensors: on a busy machine, handing each to several threads costs more than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def models():
    return preset_models("tiny", seed=1)


@pytest.fixture(scope="module")
def file(models, tmp_path_factory):
    path = tmp_path_factory.mktemp("single") / "svd_tiny.safetensors"
    save(models, path)
    return path


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory):
    path = tmp_path_factory.mktemp("diffusers") / "svd_tiny"
    save(models, path, "diffusers")
    return path


@pytest.fixture
def edited(file, tmp_path):
    """A copy of the single file with its tensors changed: edited(lambda tensors: ...). Metadata is lost unless kept."""

    def edit(change, name="edited.safetensors", keep_metadata=True):
        tensors = load_file(file)
        change(tensors)
        metadata = safe_open(file, "pt").metadata() if keep_metadata else None
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, tmp_path / name, metadata)
        return tmp_path / name

    return edit


def refusal(path, *words, do=load):
    """The sentence with which a path is refused: one sentence that holds every word."""
    with pytest.raises(InputError) as caught:
        do(path)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 700
    for word in words:
        assert word in sentence
    return sentence


# ---- the same model in both layouts


def test_single_file_and_folder_are_bit_equal(models, file, folder):
    assert_equal(load(file), models)
    assert_equal(load(folder), models)


def test_saving_what_was_loaded_changes_no_byte(file, tmp_path):
    save(load(file), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_there_and_back_through_the_other_layout(file, folder, tmp_path):
    save(load(file), tmp_path / "folder", "diffusers")
    save(load(tmp_path / "folder"), tmp_path / "back.safetensors")
    assert (tmp_path / "back.safetensors").read_bytes() == file.read_bytes()
    for path in folder.rglob("*.*"):
        assert (tmp_path / "folder" / path.relative_to(folder)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("unet", oracle.UNET_CONFIGS)
def test_every_config_survives_both_layouts(unet, tmp_path):
    vae = VAEConfig(block_out_channels=(32, 32, 64), layers_per_block=2)
    models = random_models(oracle.UNET_CONFIGS[unet], vae, TINY.clip, seed=2)
    save(models, tmp_path / "one.safetensors")
    save(models, tmp_path / "many", "diffusers", variant="fp16")
    assert_equal(load(tmp_path / "one.safetensors"), models)
    assert_equal(load(tmp_path / "many"), models)


def test_half_precision_keeps_the_encoder_in_fp32(file, models, tmp_path):
    half, original = load(file, torch.float16), state(models)
    for name, tensor in state(half).items():
        encoder = name.startswith(("vae.encoder.", "vae.quant_conv."))
        assert tensor.dtype == (torch.float32 if encoder else torch.float16), name
        assert torch.equal(tensor, original[name].to(tensor.dtype)), name
    save(half, tmp_path / "half.safetensors")
    assert_equal(load(tmp_path / "half.safetensors", torch.float16), half)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_files_in_other_dtypes_load(models, tmp_path, dtype):
    save(models, tmp_path / "svd.safetensors", dtype=dtype)
    loaded, original = load(tmp_path / "svd.safetensors"), state(models)
    for name, tensor in state(loaded).items():
        assert torch.equal(tensor, original[name].to(dtype).float()), name


def test_loaded_networks_are_ready_for_use(file, folder):
    for loaded in (load(file), load(folder)):
        for module in (loaded.unet, loaded.vae, loaded.clip):
            assert not module.training
            for tensor in (*module.parameters(), *module.buffers()):
                assert tensor.device.type == "cpu"
                assert not tensor.requires_grad
                if tensor.ndim == 4:
                    assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_the_file_may_be_replaced_after_loading(edited, models):
    path = edited(lambda tensors: None)
    loaded = load(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert_equal(loaded, models)


def test_metadata_is_kept_in_both_layouts(models, tmp_path):
    named = replace(models, metadata={"modelspec.license": "some licence", "author": "Zoë"})
    save(named, tmp_path / "a.safetensors")
    save(load(tmp_path / "a.safetensors"), tmp_path / "b", "diffusers")
    assert load(tmp_path / "b").metadata == named.metadata
    assert safe_open(tmp_path / "a.safetensors", "pt").metadata()["format"] == "pt"


# ---- diffusers itself


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A pipeline of diffusers' own modules and the folder it saves."""
    from diffusers import EulerDiscreteScheduler, StableVideoDiffusionPipeline
    from transformers import CLIPImageProcessor

    pipeline = StableVideoDiffusionPipeline(
        vae=oracle.diffusers_vae(oracle.VAE_CONFIGS["two layers"]),
        image_encoder=oracle.clip(),
        unet=oracle.diffusers_unet(oracle.unet_config()),
        scheduler=EulerDiscreteScheduler(),
        feature_extractor=CLIPImageProcessor(),
    )
    path = tmp_path_factory.mktemp("real")
    pipeline.save_pretrained(path / "plain")
    pipeline.save_pretrained(path / "fp16", variant="fp16")
    pipeline.save_pretrained(path / "sharded", max_shard_size="200KB")
    pipeline.save_pretrained(path / "sharded_fp16", max_shard_size="200KB", variant="fp16")
    return pipeline, path


@pytest.mark.parametrize("kind", ["plain", "fp16", "sharded", "sharded_fp16"])
def test_every_folder_diffusers_writes_loads(real, kind):
    pipeline, path = real
    loaded = load(path / kind)
    assert loaded.frames == 4
    assert (len(list((path / kind / "unet").glob("*.safetensors"))) > 1) == kind.startswith("sharded")
    assert_equal(loaded, load(path / "plain"))
    theirs = pipeline.image_encoder.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in loaded.clip.state_dict().items())


def test_diffusers_loads_what_we_write(real, tmp_path):
    from diffusers import StableVideoDiffusionPipeline

    pipeline, path = real
    save(load(path / "plain"), tmp_path / "ours", "diffusers")
    again = StableVideoDiffusionPipeline.from_pretrained(tmp_path / "ours")
    for part in ("unet", "vae", "image_encoder"):
        ours, theirs = getattr(again, part).state_dict(), getattr(pipeline, part).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert again.unet.config.num_frames == 4
    assert again.scheduler.config.sigma_max == 700.0


def test_a_variant_that_is_not_there(real, tmp_path):
    refusal(real[1] / "plain", "'bf16'", "plain files", do=lambda path: load(path, variant="bf16"))
    refusal(real[1] / "fp16", "'bf16'", "'fp16'", do=lambda path: load(path, variant="bf16"))
    assert load(real[1] / "fp16", variant="fp16").family == "svd"


def test_a_variant_of_a_single_file_is_refused(file):
    refusal(file, "no variants", do=lambda path: load(path, variant="fp16"))


def test_old_files_with_position_ids_load(folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "old")
    weights = tmp_path / "old" / "image_encoder" / "model.safetensors"
    save_file(load_file(weights) | {"vision_model.embeddings.position_ids": torch.arange(5)[None]}, weights)
    assert_equal(load(tmp_path / "old"), load(folder))


# ---- recognition


def test_opening_tells_what_a_file_is(file):
    opened = open_checkpoint(file)
    assert (opened.layout, opened.family, opened.decoder, opened.folder) == ("single", "svd", "temporal", None)
    assert opened.frames == 4  # from the config in the metadata
    assert {name: part.dtype for name, part in opened.parts.items()} == dict.fromkeys(("UNet", "VAE", "CLIP"), "F32")
    assert opened.parts["UNet"].parameters == sum(p.numel() for p in load(file).unet.parameters())
    assert check(opened) == []


def test_opening_tells_what_a_folder_is(folder):
    opened = open_checkpoint(folder)
    assert (opened.layout, opened.family, opened.decoder, opened.folder) == ("diffusers", "svd", "temporal", folder)


def test_a_file_without_our_metadata_is_read_by_its_shapes(edited, models):
    path = edited(lambda tensors: None, "svd_xt_1_1.safetensors", keep_metadata=False)
    loaded = load(path)
    assert loaded.frames == 25  # the name's hint
    assert loaded.unet.config.num_attention_heads == (1, 1)  # 64 channels a head; only a config can say otherwise
    ours, theirs = state(loaded), state(models)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    ("name", "frames"),
    [("svd", 14), ("svd_xt", 25), ("SVD_XT_1_1-fp16", 25), ("svd_image_decoder", 14), ("sv3d_p", 21), ("my_mix", None)],
)
def test_frames_are_a_hint_from_the_name(edited, name, frames):
    path = edited(lambda tensors: None, name + ".safetensors", keep_metadata=False)
    assert open_checkpoint(path).frames == frames


SV3D = VAEConfig(block_out_channels=(32, 32), layers_per_block=1, temporal_decoder=False)


@pytest.mark.parametrize(
    ("dims", "vae", "family", "decoder"),
    [
        ((256,), SV3D, "sv3d_u", "image"),
        ((256, 512, 512), SV3D, "sv3d_p", "image"),
        ((256, 256, 256), replace(SV3D, post_quant_conv=True), "svd", "image"),
        ((256, 256, 256), replace(SV3D, temporal_decoder=True), "svd", "temporal"),
        ((256, 256, 256), replace(SV3D, temporal_decoder=True, quant_conv=False), "svd", "temporal"),
    ],
)
def test_families_and_decoders(tmp_path, dims, vae, family, decoder):
    unet = replace(TINY.unet, addition_time_embed_dim=dims, projection_class_embeddings_input_dim=sum(dims))
    models = random_models(unet, vae, TINY.clip)
    path = tmp_path / "file.safetensors"
    save(models, path)
    assert_equal(load(path), models)
    save_file(load_file(path), path)  # without metadata
    opened = open_checkpoint(path)
    assert (opened.family, opened.decoder) == (family, decoder)
    assert opened.vae.config == replace(vae, decoder_mid_layers=2)
    assert check(opened) == []


def test_other_conditioning_widths_are_refused(edited):
    def widen(tensors):
        tensors[UNET + "label_emb.0.0.weight"] = torch.zeros(128, 544)

    refusal(edited(widen, keep_metadata=False), "544")


def test_the_encoder_beside_the_decoder_is_the_same_with_quant_conv_folded_in(file, edited):
    def without_conditioner(tensors):
        for name in [name for name in tensors if name.startswith(AUTOENCODER)]:
            del tensors[name]

    folded = load(edited(without_conditioner, keep_metadata=False)).vae
    assert not folded.config.quant_conv
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(folded.encode(image), load(file).vae.encode(image), rtol=1e-4, atol=1e-5)


def test_a_file_without_quant_conv_becomes_a_folder_that_diffusers_can_load(edited, tmp_path):
    def without_conditioner(tensors):
        for name in [name for name in tensors if name.startswith(AUTOENCODER)]:
            del tensors[name]

    models = random_models(TINY.unet, replace(TINY.vae, quant_conv=False), TINY.clip)
    save(models, tmp_path / "folder", "diffusers")
    assert torch.equal(load(tmp_path / "folder").vae.quant_conv.weight, torch.eye(8)[:, :, None, None])


def test_clip_in_transformers_names_inside_a_single_file(models, edited):
    """As ComfyUI writes it."""

    def as_comfyui(tensors):
        for name in [name for name in tensors if name.startswith(VISUAL)]:
            del tensors[name]
        tensors.update({VISUAL + name: tensor.clone() for name, tensor in models.clip.state_dict().items()})

    assert_equal(load(edited(as_comfyui)), models)


def test_tensors_that_nothing_needs_are_passed_over(edited, models):
    def add(tensors):
        for name in (
            "positional_embedding",
            "text_projection",
            "logit_scale",
            "token_embedding.weight",
            "ln_final.bias",
        ):
            tensors["conditioner.embedders.0.open_clip.model." + name] = torch.zeros(2)
        tensors[AUTOENCODER + "decoder.conv_in.weight"] = torch.zeros(2)
        tensors["model_ema.decay"] = torch.full((1,), float("nan"))
        tensors["denoiser.sigmas"] = torch.zeros(2, dtype=torch.int64)

    assert_equal(load(edited(add)), models)


# ---- refusals


def test_missing(tmp_path):
    refusal(tmp_path / "nothing.safetensors", "does not exist")


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_empty(tmp_path, suffix):
    path = tmp_path / f"svd.{suffix}"
    path.touch()
    refusal(path, "is empty" if suffix == "safetensors" else "pickle")


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.01])
def test_truncated(file, tmp_path, keep):
    path = tmp_path / "svd.safetensors"
    path.write_bytes(file.read_bytes()[: int(file.stat().st_size * keep)])
    refusal(path, "download it again")


def test_longer_than_its_header_says(file, tmp_path):
    path = tmp_path / "svd.safetensors"
    path.write_bytes(file.read_bytes() + b"\0" * 8)
    refusal(path, "damaged")


@pytest.mark.parametrize("content", [b"\0" * 100, b"hello", b"\xff" * 64, struct.pack("<Q", 2**62) + b"{}"])
def test_not_safetensors(tmp_path, content):
    path = tmp_path / "svd.safetensors"
    path.write_bytes(content)
    refusal(path, "not a safetensors file")


@pytest.mark.parametrize("header", [b"{", b"[]", b'{"a": 1}', b'{"a": {"dtype": "F32"}}', b'{"a": "\xff"}'])
def test_bad_header(tmp_path, header):
    path = tmp_path / "svd.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    refusal(path, "header")


def test_header_larger_than_the_file(tmp_path):
    path = tmp_path / "svd.safetensors"
    path.write_bytes(struct.pack("<Q", 1000) + b"{}")
    refusal(path, "only the beginning")


@pytest.mark.parametrize("name", ["svd.ckpt", "svd.pt", "svd.pth", "svd.bin", "svd.safetensors"])
def test_pickles(tmp_path, name):
    torch.save({"a": torch.zeros(2)}, tmp_path / name)
    refusal(tmp_path / name, "pickle", "run any code")
    (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
    refusal(tmp_path / name, "pickle", "run any code")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"GGUF\3\0\0\0" + b"\0" * 100, "GGUF"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    ],
)
def test_other_formats(tmp_path, content, word):
    (tmp_path / "svd.safetensors").write_bytes(content)
    refusal(tmp_path / "svd.safetensors", word)


OTHER_MODELS = {
    "Stable Diffusion 1.5": (
        "cond_stage_model.transformer.text_model.embeddings.position_ids",
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        "first_stage_model.decoder.conv_in.weight",
    ),
    "Stable Diffusion 2": (
        "cond_stage_model.model.transformer.resblocks.0.ln_1.weight",
        "model.diffusion_model.out.2.weight",
    ),
    "SDXL": (
        "conditioner.embedders.1.model.transformer.resblocks.0.ln_1.weight",
        "model.diffusion_model.label_emb.0.0.weight",
    ),
    "Stable Diffusion 3": ("model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight",),
    "Flux": ("double_blocks.0.img_attn.qkv.weight", "img_in.weight"),
    "Wan": ("blocks.0.self_attn.norm_q.weight", "patch_embedding.weight"),
    "LTX-Video": ("model.diffusion_model.patchify_proj.weight",),
    "diffusion transformer": ("transformer_blocks.0.attn.to_q.weight",),
    "VideoCrafter": ("model.diffusion_model.init_attn.0.norm.weight", "first_stage_model.decoder.conv_in.weight"),
    "AnimateDiff motion module": ("down_blocks.0.motion_modules.0.temporal_transformer.norm.weight",),
    "AnimateDiff motion LoRA": ("down_blocks.0.motion_modules.0.attention_blocks.0.processor.to_q_lora.down.weight",),
    "a LoRA": ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight",),
    "LoRA": ("lora_unet_input_blocks_1_1_proj_in.lora_down.weight",),
    "ControlNet": ("controlnet_down_blocks.0.weight", "down_blocks.0.resnets.0.spatial_res_block.norm1.weight"),
    "a trained UNet alone": ("down_blocks.0.resnets.0.spatial_res_block.norm1.weight",),
    "the VAE of an SVD diffusers folder": ("decoder.time_conv_out.weight", "decoder.conv_in.weight"),
    "a trained UNet alone, without its VAE and CLIP": ("input_blocks.1.0.time_stack.in_layers.0.weight",),
    "with parts left out: its CLIP": (
        "model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight",
        "first_stage_model.decoder.conv_in.weight",
        "first_stage_model.encoder.conv_in.weight",
    ),
    "the UNet of another": ("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight", "conv_in.weight"),
    "a VAE alone": ("encoder.conv_in.weight", "decoder.mid.block_1.conv1.weight"),
    "CLIP": ("vision_model.embeddings.class_embedding",),
    "text encoder": ("text_model.encoder.layers.0.layer_norm1.weight",),
    "no kind of model known here": ("something.else",),
}


@pytest.mark.parametrize("kind", OTHER_MODELS)
def test_other_models_are_named(tmp_path, kind):
    path = tmp_path / "model.safetensors"
    save_file({name: torch.zeros(2, 2) for name in OTHER_MODELS[kind]}, path)
    refusal(path, "not an SVD checkpoint", kind)


def test_one_tensor_missing(edited):
    name = UNET + "middle_block.1.time_stack.0.ff.net.2.bias"
    refusal(edited(lambda tensors: tensors.pop(name)), "UNet", "1 missing", name, "download it again")


def test_a_tensor_missing_that_tells_the_shape(edited):
    name = "label_emb.0.0.weight"
    refusal(edited(lambda tensors: tensors.pop(UNET + name), keep_metadata=False), name)


def test_many_tensors_missing(edited):
    def drop(tensors):
        for name in [name for name in tensors if name.startswith(FIRST + "decoder.up.")]:
            del tensors[name]

    refusal(edited(drop), "VAE", "missing", FIRST + "decoder.up.0.block.0.mix_factor")


def test_one_wrong_shape(edited):
    name = FIRST + "decoder.conv_out.bias"
    sentence = refusal(
        edited(lambda tensors: tensors.update({name: torch.zeros(4)})), "VAE", "1 of the wrong shape", name
    )
    assert "is 4 and should be 3" in sentence


def test_check_reports_what_load_refuses(edited):
    name = VISUAL + "ln_pre.weight"
    [misfit] = check(open_checkpoint(edited(lambda tensors: tensors.pop(name))))
    assert (misfit.part, misfit.missing, misfit.unexpected, misfit.misshapen) == ("CLIP", (name,), (), ())


def test_an_unexpected_tensor(edited):
    refusal(edited(lambda tensors: tensors.update({UNET + "extra": torch.zeros(4)})), "1 unexpected", UNET + "extra")


def test_quantised_files(edited):
    refusal(edited(lambda tensors: tensors.update({UNET + "out.2.scale_weight": torch.ones(1)})), "quantised")
    name = UNET + "out.2.weight"
    refusal(edited(lambda tensors: tensors.update({name: tensors[name].to(torch.int8)})), "I8", "fp16")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity(edited, value):
    name = VISUAL + "transformer.resblocks.1.attn.in_proj_weight"
    path = edited(lambda tensors: tensors[name][40].fill_(value))
    refusal(path, name, "NaN or infinity")


def test_numbers_too_large_for_fp16(edited):
    name = UNET + "time_embed.0.weight"
    path = edited(lambda tensors: tensors[name].mul_(0).add_(1e6))
    refusal(path, name, "too large for float16", "bf16", do=lambda path: load(path, torch.float16))
    assert load(path, torch.bfloat16).unet.dtype == torch.bfloat16


def test_damaged_config_in_the_metadata(file, tmp_path):
    save_file(load_file(file), tmp_path / "svd.safetensors", {"svd_nodes.config": "{"})
    refusal(tmp_path / "svd.safetensors", "metadata")
    save_file(
        load_file(file), tmp_path / "svd.safetensors", {"svd_nodes.config": '{"unet": {"block_out_channels": 7}}'}
    )
    refusal(tmp_path / "svd.safetensors", "unet")


def test_folders_that_are_none(tmp_path, folder, file):
    refusal(tmp_path, "not a diffusers folder")
    refusal(file.parent, "not a diffusers folder", file.name)
    refusal(folder / "unet", "the folder above", str(folder))
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    refusal(tmp_path, "FluxPipeline")


def damaged(folder, tmp_path, name, content):
    import shutil

    target = tmp_path / "damaged"
    shutil.copytree(folder, target)
    (target / name).unlink()
    if content is not None:
        (target / name).write_bytes(content)
    return target


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("unet/config.json", None, "unet/config.json"),
        ("unet/config.json", b"{", "JSON"),
        ("unet/config.json", b"[]", "JSON"),
        ("unet/config.json", b'{"_class_name": "UNet2DConditionModel"}', "UNet2DConditionModel"),
        ("unet/config.json", b'{"addition_time_embed_dim": 7}', "768"),
        ("vae/config.json", b'{"_class_name": "AutoencoderKL"}', "AutoencoderKL"),
        ("vae/config.json", b'{"block_out_channels": [32], "layers_per_block": 1}', "VAE"),
        ("vae/config.json", b'{"block_out_channels": ["a"], "layers_per_block": 1}', "block_out_channels"),
        ("unet/config.json", b'{"addition_time_embed_dim": 0}', "addition_time_embed_dim"),
        ("unet/config.json", b'{"down_block_types": [1, 2, 3, 4]}', "down_block_types"),
        ("unet/config.json", b'{"num_attention_heads": -1}', "num_attention_heads"),
        ("unet/config.json", b'{"num_attention_heads": 7}', "num_attention_heads"),
        ("unet/config.json", b'{"layers_per_block": 1000000}', "layers_per_block"),
        ("unet/config.json", b'{"num_frames": "abc"}', "num_frames"),
        ("vae/config.json", b'{"scaling_factor": NaN}', "scaling_factor"),
        ("vae/config.json", b'{"scaling_factor": 0}', "scaling_factor"),
        ("vae/diffusion_pytorch_model.safetensors", None, "vae"),
        ("image_encoder/model.safetensors", b"", "empty"),
    ],
)
def test_damaged_folders(folder, tmp_path, name, content, word):
    refusal(damaged(folder, tmp_path, name, content), word)


def test_a_folder_of_pickles(folder, tmp_path):
    path = damaged(folder, tmp_path, "unet/diffusion_pytorch_model.safetensors", None)
    (path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80")
    refusal(path, "pickles", "safetensors")


def test_a_missing_shard_and_an_index_that_leads_elsewhere(real, tmp_path):
    import shutil

    shutil.copytree(real[1] / "sharded", tmp_path / "sharded")
    index = tmp_path / "sharded" / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    values = json.loads(index.read_text())
    values["weight_map"]["conv_in.bias"] = "../../elsewhere.safetensors"
    index.write_text(json.dumps(values))
    refusal(tmp_path / "sharded", str(Path("unet", "elsewhere.safetensors")), "missing")


# ---- saving


def test_an_existing_path_is_kept(models, file, folder, tmp_path):
    for path, layout in ((file, "single"), (folder, "diffusers")):
        refusal(path, "exists already", do=lambda path, layout=layout: save(models, path, layout))
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "work.txt").touch()
    refusal(
        tmp_path / "precious",
        "work.txt, which would be lost",
        do=lambda path: save(models, path, "diffusers", overwrite=True),
    )
    assert (tmp_path / "precious" / "work.txt").exists()


def test_a_folder_is_overwritten_only_by_the_same_files(models, tmp_path):
    save(models, tmp_path / "svd", "diffusers")
    refused = partial(save, models, tmp_path / "svd", "diffusers", torch.float16, variant="fp16", overwrite=True)
    refusal(tmp_path / "svd", "which would be lost", do=lambda _: refused())
    (tmp_path / "svd" / "LICENSE.md").touch()
    refusal(tmp_path / "svd", "LICENSE.md", do=lambda path: save(models, path, "diffusers", overwrite=True))
    assert_equal(load(tmp_path / "svd"), models)


@pytest.mark.parametrize(
    "header", [b'{"a":' + b"[" * 100_000, b'{"__metadata__": null}', b'{"__metadata__": {"svd_nodes.config": "[1]"}}']
)
def test_strange_headers(tmp_path, header):
    path = tmp_path / "strange.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refusal(path)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
def test_a_name_that_is_not_utf8(file, models, tmp_path):
    path = tmp_path / os.fsdecode(b"svd\xff.safetensors")
    path.write_bytes(file.read_bytes())
    assert_equal(load(path), models)


@pytest.mark.parametrize(("name", "layout"), [("svd.safetensors", "single"), ("svd", "diffusers")])
def test_overwriting_when_asked(models, tmp_path, name, layout):
    path = tmp_path / name
    save(preset_models("tiny", seed=5), path, layout)
    save(models, path, layout, overwrite=True)
    assert_equal(load(path), models)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("name", "layout"), [("svd.safetensors", "single"), ("svd", "diffusers")])
def test_a_disk_that_refuses_leaves_the_old_one(models, tmp_path, monkeypatch, name, layout):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / name
    save(models, path, layout)
    monkeypatch.setattr("os.fsync", full)
    other = preset_models("tiny", seed=5)
    with pytest.raises(OSError, match="No space left"):
        save(other, path, layout, overwrite=True)
    assert_equal(load(path), models)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("name", "layout"), [("svd.safetensors", "single"), ("svd", "diffusers")])
def test_nothing_half_written(tmp_path, name, layout):
    broken = preset_models("tiny")
    broken.vae.decoder.conv_out.bias[0] = float("nan")
    refusal(tmp_path / name, "NaN", do=lambda path: save(broken, path, layout))
    broken.vae.decoder.conv_out.bias[0] = 1e6
    refusal(tmp_path / name, "float16", do=lambda path: save(broken, path, layout, torch.float16))
    assert list(tmp_path.iterdir()) == []


def test_targets_that_cannot_be(models, tmp_path):
    refusal(tmp_path / "svd.ckpt", "safetensors", do=lambda path: save(models, path))
    refusal(tmp_path / "no" / "svd.safetensors", "no folder", do=lambda path: save(models, path))
    refusal(tmp_path / "svd.safetensors", "layout", do=lambda path: save(models, path, "onnx"))
    refusal(tmp_path / "svd", "variant", do=lambda path: save(models, path, "diffusers", variant="../x"))


def test_what_diffusers_cannot_hold(tmp_path):
    sv3d = replace(TINY.unet, addition_time_embed_dim=(256,), projection_class_embeddings_input_dim=256)
    for unet, vae, word in (
        (sv3d, TINY.vae, "sv3d_u"),
        (TINY.unet, SV3D, "image decoder"),
        (TINY.unet, replace(TINY.vae, decoder_mid_layers=2), "middle blocks"),
    ):
        models = random_models(unet, vae, TINY.clip)
        refusal(tmp_path / "folder", word, do=lambda path, models=models: save(models, path, "diffusers"))
    assert list(tmp_path.iterdir()) == []


# ---- random checkpoints


def test_random_weights_are_seeded_and_say_what_they_are(tmp_path):
    assert_equal(preset_models("tiny", seed=3), preset_models("tiny", seed=3))
    assert not torch.equal(
        preset_models("tiny", seed=3).unet.out[2].weight, preset_models("tiny", seed=4).unet.out[2].weight
    )
    save(preset_models("tiny"), tmp_path / "svd.safetensors")
    assert "noise" in open_checkpoint(tmp_path / "svd.safetensors").metadata["modelspec.description"]


def test_a_file_that_changes_while_it_is_read_is_no_model(tmp_path):
    path, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    for file, seed in ((path, 0), (other, 1)):
        save(preset_models("tiny", seed), file)
    with pytest.raises(InputError, match="changed while it was read"):
        load(path, on_tensor=lambda: other.exists() and other.replace(path))
