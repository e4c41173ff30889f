"""Damaged and odd checkpoints: one sentence from `inspect` and `load` alike, or both take it; never anything else."""

import json
import os
import shutil
import struct
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from svd_nodes.headless.checkpoints import inspect
from svd_nodes.svd import StableVideoDiffusionPipeline
from svd_nodes.svd.checkpoint import load, open_checkpoint, save
from svd_nodes.svd.clip import build_clip, clip_shapes
from svd_nodes.svd.config import BOUNDS, CHOICES, CLIPConfig, UNetConfig, VAEConfig
from svd_nodes.svd.errors import InputError, shown
from svd_nodes.svd.pretrained import FeatureExtractor, Scheduler
from svd_nodes.tools.random_checkpoint import PRESETS, preset_models, random_models

UNET_WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
INDEX = UNET_WEIGHTS + ".index.json"
TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def models():
    return preset_models("tiny", seed=1)


@pytest.fixture(scope="module")
def whole(models, tmp_path_factory):
    """A folder that holds the same model as `tiny.safetensors` and as `tiny/`. Only to be read."""
    path = tmp_path_factory.mktemp("whole")
    save(models, path / "tiny.safetensors")
    save(models, path / "tiny", "diffusers")
    return path


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole / "tiny", tmp_path / "tiny")
    return tmp_path / "tiny"


def refused_alike(path, *words, **options):
    """The sentence with which both refuse it: one line that holds every word."""
    try:
        report = inspect(path, **options)
        assert report.missing, "inspect finds nothing missing"
        told = report.missing[0]
    except InputError as error:
        told = str(error)
    with pytest.raises(InputError) as caught:
        load(path, **options)
    assert str(caught.value) == told
    assert told.isprintable()
    assert told.endswith(".")
    assert len(told) < 700
    for word in words:
        assert word in told
    return told


def taken_alike(path, models, **options):
    """Both take it, and it is this model."""
    assert inspect(path, **options).missing == ()
    loaded = load(path, **options)
    for ours, theirs in ((loaded.unet, models.unet), (loaded.vae, models.vae), (loaded.clip, models.clip)):
        assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in ours.state_dict().items())


def change(path, **values):
    """Writes other values into a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# ---- what people have


def test_both_layouts_load(whole, models):
    taken_alike(whole / "tiny", models)
    taken_alike(whole / "tiny.safetensors", models)


def test_a_unet_with_a_mask_channel(folder):
    weights = load_file(folder / UNET_WEIGHTS)
    first = weights["conv_in.weight"]
    save_file(weights | {"conv_in.weight": torch.cat([first, first[:, :1]], 1)}, folder / UNET_WEIGHTS)
    change(folder / "unet/config.json", in_channels=9)
    refused_alike(folder, "9 channels", "SVD has 8")


@pytest.mark.parametrize(
    ("part", "values", "words"),
    [
        ("unet", {"out_channels": 8}, ("8 channels", "VAE takes 4")),
        ("vae", {"in_channels": 1}, ("1 to 3", "colour")),
        ("image_encoder", {"projection_dim": 64}, ("32 numbers", "makes 64")),
        ("unet", {"addition_time_embed_dim": 3, "projection_class_embeddings_input_dim": 9}, ("9 numbers",)),
    ],
)
def test_parts_that_do_not_fit_each_other(folder, part, values, words):
    change(folder / part / "config.json", **values)
    refused_alike(folder, *words)


def test_widths_of_levels_without_attention_are_not_asked(folder, models):
    change(folder / "unet/config.json", num_frames=5)
    taken_alike(folder, models)
    plain = {"down_block_types": ("DownBlockSpatioTemporal",) * 2, "up_block_types": ("UpBlockSpatioTemporal",) * 2}
    config = replace(TINY.unet, cross_attention_dim=(1024, 32), **plain)
    save(random_models(config, TINY.vae, TINY.clip), folder.parent / "odd.safetensors")
    assert inspect(folder.parent / "odd.safetensors").missing == ()


@pytest.mark.parametrize("wrapper", ["", "module.", "unet.", "_orig_mod.", "unet.module._orig_mod."])
def test_a_trained_unet_alone(whole, folder, models, tmp_path, wrapper):
    """Refused alone, in every spelling; taken where the sentence says to copy it."""
    file = tmp_path / "finetuned.safetensors"
    save_file({wrapper + name: tensor for name, tensor in load_file(whole / "tiny" / UNET_WEIGHTS).items()}, file)
    refused_alike(file, "a trained UNet alone", "copy its weights over", f"'{wrapper}'" if wrapper else "")
    shutil.copy(file, folder / UNET_WEIGHTS)
    taken_alike(folder, models)
    assert open_checkpoint(folder).wrapper == wrapper


def test_a_trained_unet_in_the_names_of_a_single_file(whole, folder, models, tmp_path):
    own = {
        name: tensor for name, tensor in load_file(whole / "tiny.safetensors").items() if ".diffusion_model." in name
    }
    for prefix in ("model.diffusion_model.", ""):
        file = tmp_path / "finetuned.safetensors"
        save_file({name.replace("model.diffusion_model.", prefix): tensor for name, tensor in own.items()}, file)
        refused_alike(file, "a trained UNet alone", "copy its weights over")
        shutil.copy(file, folder / UNET_WEIGHTS)
        taken_alike(folder, models)


def test_a_training_checkpoint(whole, tmp_path):
    """Every path into it gets the same advice, and none leads to a folder that is not there."""
    for name in ("unet", "unet_ema"):
        shutil.copytree(whole / "tiny/unet", tmp_path / "checkpoint-1000" / name)
    trained = tmp_path / "checkpoint-1000"
    for path in (trained, trained / "unet", trained / "unet_ema", trained / UNET_WEIGHTS):
        refused_alike(path, "a trained UNet alone", "copy its weights over")


def test_parts_of_a_whole_folder_lead_to_it(whole):
    for path in (whole / "tiny/unet", whole / "tiny" / UNET_WEIGHTS):
        refused_alike(path, f"folder{', ' if path.is_file() else ' above, '}{whole / 'tiny'}.")


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_a_whole_checkpoint_behind_a_wrapper(whole, models, tmp_path, wrapper):
    wrapped = {wrapper + name: tensor for name, tensor in load_file(whole / "tiny.safetensors").items()}
    metadata = open_metadata(whole / "tiny.safetensors")
    save_file(wrapped, tmp_path / "wrapped.safetensors", metadata)
    taken_alike(tmp_path / "wrapped.safetensors", models)
    assert inspect(tmp_path / "wrapped.safetensors").wrapper == wrapper


def test_a_compiled_unet_in_a_whole_checkpoint(whole, models, tmp_path):
    inside = "model.diffusion_model."
    tensors = load_file(whole / "tiny.safetensors").items()
    compiled = {name.replace(inside, inside + "_orig_mod."): tensor for name, tensor in tensors}
    save_file(compiled, tmp_path / "compiled.safetensors", open_metadata(whole / "tiny.safetensors"))
    taken_alike(tmp_path / "compiled.safetensors", models)


def test_two_tensors_of_one_name_stay_two(whole, tmp_path):
    tensors = load_file(whole / "tiny.safetensors")
    name = "model.diffusion_model.out.2.bias"
    save_file(tensors | {"module." + name: tensors[name].clone()}, tmp_path / "twice.safetensors")
    assert inspect(tmp_path / "twice.safetensors").wrapper == ""


def open_metadata(path):
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return file.metadata()


def fp8(tensors, scale):
    """Scaled fp8, with the scales' names of several programs."""
    eights = {k: v.to(torch.float8_e4m3fn) for k, v in tensors.items() if v.ndim > 1 and "diffusion_model" in k}
    return {**tensors, **eights, **{k[:-6] + scale: torch.tensor(0.5) for k in eights if k.endswith("weight")}}


def int8(tensors):
    """Without any scales."""
    wide = {name for name, tensor in tensors.items() if tensor.ndim == 4 and "diffusion_model" in name}
    return {k: v.mul(10).to(torch.int8) if k in wide else v for k, v in tensors.items()}


QUANTISED = {
    "int8": int8,
    "one tensor of U8": lambda t: {**t, "first_stage_model.decoder.conv_out.bias": torch.zeros(3).to(torch.uint8)},
    "weight_scale": lambda t: fp8(t, "weight_scale"),
    "scale_weight": lambda t: fp8(t, "scale_weight"),
    "weight_scale_inv": lambda t: fp8(t, "weight_scale_inv"),
    "bitsandbytes": lambda t: {**t, "model.diffusion_model.out.2.weight.absmax": torch.zeros(3)},
}


@pytest.mark.parametrize("kind", QUANTISED)
def test_quantised(whole, tmp_path, kind):
    save_file(QUANTISED[kind](load_file(whole / "tiny.safetensors")), tmp_path / "small.safetensors")
    refused_alike(tmp_path / "small.safetensors", "a quantised SVD checkpoint", "get it in fp16 or fp32")


def test_fp8_without_scales_loads(whole, tmp_path):
    tensors = load_file(whole / "tiny.safetensors")
    small = {k: v.to(torch.float8_e4m3fn) if "diffusion_model" in k else v for k, v in tensors.items()}
    save_file(small, tmp_path / "fp8.safetensors", open_metadata(whole / "tiny.safetensors"))
    assert inspect(tmp_path / "fp8.safetensors").missing == ()
    assert load(tmp_path / "fp8.safetensors").unet.dtype == torch.float32


def test_variants(folder, models):
    plain = folder / UNET_WEIGHTS
    first, second = (plain.with_name(f"diffusion_pytorch_model.{name}.safetensors") for name in ("fp16", "non_ema"))
    shutil.copy(plain, first)
    taken_alike(folder, models)  # the plain one
    plain.rename(second)
    told = refused_alike(folder, "'fp16', 'non_ema'", "--variant fp16", 'variant="fp16"')
    assert str(folder / "unet") in told
    for name in ("fp16", "non_ema"):  # the parts that have no variants give their plain files
        taken_alike(folder, models, variant=name)
    refused_alike(folder, "no variant 'bf16'", "'fp16', 'non_ema'", variant="bf16")
    (folder / "vae/diffusion_pytorch_model.safetensors").rename(folder / "vae/diffusion_pytorch_model.bf16.safetensors")
    refused_alike(folder, "unet has no variant 'bf16'", variant="bf16")
    second.unlink()
    taken_alike(folder, models)  # the only ones


def test_the_folder_of_the_hubs_cache(whole, models, tmp_path):
    cache = tmp_path / "hub"
    model = cache / "models--owner--svd"
    shutil.copytree(whole / "tiny", model / "snapshots/0123abc")
    for path in (model, model / "snapshots", model / "snapshots/0123abc"):
        taken_alike(path, models)
    assert open_checkpoint(model).path == model / "snapshots/0123abc"
    refused_alike(cache, "Hugging Face cache", "models--")
    (model / "snapshots/4567def").mkdir()
    refused_alike(model, "0123abc, 4567def")
    (model / "refs").mkdir()
    (model / "refs/main").write_text("0123abc\n")
    taken_alike(model, models)
    (model / "refs/main").write_text("../../elsewhere")
    refused_alike(model, "0123abc, 4567def")


# ---- damaged folders


@pytest.mark.parametrize(
    "index",
    [
        {"weight_map": []},
        {"weight_map": 3},
        {"weight_map": None},
        {"weight_map": {}},
        {},
        {"weight_map": "conv_in.bias"},
        {"weight_map": {"conv_in.bias": 5}},
        {"weight_map": {"conv_in.bias": ["a"]}},
        {"weight_map": {"conv_in.bias": {}}},
    ],
)
def test_a_weight_map_that_is_none(folder, index):
    (folder / INDEX).write_text(json.dumps(index))
    refused_alike(folder, "weight_map", "download it again")


@pytest.mark.parametrize(
    "name",
    ["a" * 5000, "ü" * 200, "", "..", ".", "a\0b", "\ud800", "a\nb", "/etc/passwd", "C:\\x", "../config.json\x1b[31m"],
)
def test_shards_of_strange_names(folder, name):
    (folder / INDEX).write_text(json.dumps({"weight_map": {"conv_in.bias": name}}))
    refused_alike(folder, "is missing, though the index names it")


def test_too_many_shards(folder):
    (folder / INDEX).write_text(json.dumps({"weight_map": {str(i): f"{i}.safetensors" for i in range(5000)}}))
    refused_alike(folder, "names 5,000 files")


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX")
@pytest.mark.parametrize("name", [UNET_WEIGHTS, "vae/config.json", "image_encoder/model.safetensors", INDEX])
def test_a_pipe_is_not_waited_for(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused_alike(folder, name.split("/")[0])
    refused_alike(folder / name, "no file")


CONFIGS = {  # part, value, words of the sentence
    "hours of building": ("unet", {"layers_per_block": 256}, "layers_per_block"),
    "the most layers in the most depth": ("unet", {"layers_per_block": 32, "transformer_layers_per_block": 32}, "bloc"),
    "1e9 inputs": ("unet", {"projection_class_embeddings_input_dim": 10**9}, "projection_class"),
    "1e12 inputs": ("unet", {"projection_class_embeddings_input_dim": 10**12}, "projection_class"),
    "1e30 inputs": ("unet", {"projection_class_embeddings_input_dim": 1e30}, "projection_class"),
    "a size below 0": ("unet", {"projection_class_embeddings_input_dim": -96}, "projection_class"),
    "a truth for a number": ("unet", {"in_channels": True}, "in_channels"),
    "a number for a list": ("unet", {"block_out_channels": 32}, "block_out_channels"),
    "a text for a list": ("unet", {"block_out_channels": "ab"}, "block_out_channels"),
    "a map for a list": ("unet", {"block_out_channels": {"32": 1}}, "block_out_channels"),
    "lists in a list": ("unet", {"block_out_channels": [[32], [64]]}, "block_out_channels"),
    "no levels": ("unet", {"block_out_channels": []}, "block_out_channels"),
    "other widths than groups": ("unet", {"block_out_channels": [48, 64]}, "num_groups"),
    "blocks of another model": ("unet", {"down_block_types": ["CrossAttnDownBlock2D"] * 2}, "down_block_types"),
    "a class of two lines": ("unet", {"_class_name": "a\nb\x1b[31m"}, r"a\nb\x1b[31m"),
    "a class that is a book": ("unet", {"_class_name": "x" * 10**5}, "xxx..."),
    "a million frames": ("unet", {"num_frames": 10**6}, "num_frames"),
    "5,000 levels": ("vae", {"block_out_channels": [32] * 5000}, "levels"),
    "a scale beyond fp32": ("vae", {"scaling_factor": 1e300}, "scaling_factor"),
    "a scale beyond any float": ("vae", {"scaling_factor": 10**400}, "scaling_factor"),
    "a scale that is a text": ("vae", {"scaling_factor": "0.18"}, "scaling_factor"),
    "no activation": ("image_encoder", {"hidden_act": "nonsense"}, "hidden_act"),
    "an activation that is a list": ("image_encoder", {"hidden_act": ["gelu"]}, "hidden_act"),
    "heads that do not divide": ("image_encoder", {"num_attention_heads": 5}, "num_attention_heads"),
    "4 milliard patches": ("image_encoder", {"image_size": 65536, "patch_size": 1}, "image_size"),
    "16 million patches": ("image_encoder", {"image_size": 4096, "patch_size": 1}, "patches"),
    "patches larger than the picture": ("image_encoder", {"image_size": 8, "patch_size": 16}, "patches"),
    "an epsilon of infinity": ("image_encoder", {"layer_norm_eps": float("inf")}, "layer_norm_eps"),
    "1,000 layers": ("image_encoder", {"num_hidden_layers": 1000}, "num_hidden_layers"),
    "other layers than there are": ("image_encoder", {"num_hidden_layers": 3}, "CLIP"),
}  # fmt: skip


@pytest.mark.parametrize("case", CONFIGS)
def test_configs_of_what_cannot_be(folder, case):
    part, values, word = CONFIGS[case]
    change(folder / part / "config.json", **values)
    refused_alike(folder, word)


@pytest.mark.parametrize(
    "text",
    ['{"a": ' + "9" * 5000 + "}", "[" * 100_000, '{"a":' * 900, '{"a":' * 100_000, b"\xff\xfe\x00\xd8", "",
     "null", b"\xff\xfe{"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["unet/config.json", INDEX])
def test_json_that_is_none(folder, text, name):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    refused_alike(folder, str(folder / name), "download the folder again")


@pytest.mark.parametrize("key", ["in_channels", "block_out_channels", "_class_name", "num_frames"])
def test_values_nested_as_deep_as_json_goes(folder, key):
    """At some depth it can be read and not be shown."""
    shutil.copy(folder / "unet/config.json", folder.parent)
    for depth in range(100, 1000, 50):
        text = json.loads((folder / "unet/config.json").read_text()) | {key: "HERE"}
        nested = json.dumps(text).replace('"HERE"', "[" * depth + "]" * depth)
        (folder / "unet/config.json").write_text(nested)
        refused_alike(folder)
        shutil.copy(folder.parent / "config.json", folder / "unet/config.json")


def test_json_without_end(folder):
    with open(folder / "unet/config.json", "wb") as file:
        file.truncate(1 << 40)  # sparse
    refused_alike(folder, "larger than any config")


@pytest.mark.parametrize("clip", [
    CLIPConfig(32, 37, 1, 4, 64, 16, 8, act) for act in CHOICES["hidden_act"]
] + [CLIPConfig(60, 7, 2, 3, 33, 16, 5, layer_norm_eps=eps) for eps in BOUNDS["layer_norm_eps"]])  # fmt: skip
def test_every_config_that_is_taken_can_be_built(clip):
    """And has the shapes by which `inspect` judges."""
    assert {k: tuple(v.shape) for k, v in build_clip(clip).state_dict().items()} == clip_shapes(clip)


@pytest.mark.parametrize("value", [10**400, 1e300, float("nan"), "7", [], True, -1])
def test_schedules_that_are_none(folder, value, monkeypatch):
    monkeypatch.setattr("svd_nodes.svd.checkpoint.load", None)  # it is refused before the weights are read
    change(folder / "scheduler/scheduler_config.json", sigma_max=value)
    with pytest.raises(InputError, match="sigma_max"):
        StableVideoDiffusionPipeline.from_pretrained(folder)
    with pytest.raises(InputError, match="sigma_max"):
        Scheduler.from_folder(folder)
    change(folder / "feature_extractor/preprocessor_config.json", image_std=[value, 1, 1])
    with pytest.raises(InputError, match="three numbers"):
        FeatureExtractor.from_folder(folder)


# ---- damaged files


def raw(header, data=b""):
    """A safetensors file of this header, as an object or as it stands."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(start=0, stop=4, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop]}


def sized(digits):
    """A tensor whose only side has so many digits."""
    return raw(b'{"a": {"dtype": "F32", "shape": [' + b"9" * digits + b'], "data_offsets": [0, 4]}}')


LORAS = "lora." * 50
FAR = [  # the names by which a whole checkpoint is known, and a block of a billion
    *(f"model.diffusion_model.input_blocks.{'9' * 20}.0.time_stack.x", "first_stage_model.decoder.x"),
    *("first_stage_model.encoder.x", "conditioner.embedders.0.open_clip.model.visual.x"),
]
HEADERS = {
    "nothing in it": (raw({}), "holds no tensor"),
    "metadata alone": (raw({"__metadata__": {"a": "b"}}), "holds no tensor"),
    "metadata that is a list": (raw({"__metadata__": [1], "a": tensor()}, b"1234"), "header"),
    "metadata of numbers": (raw({"__metadata__": {"a": 1}, "a": tensor()}, b"1234"), "header"),
    "metadata that is no Unicode": (raw({"__metadata__": {"a": "\ud800"}, "a": tensor()}, b"1234"), "header"),
    "a name that is no Unicode": (raw({"\udcff": tensor()}, b"1234"), "header"),
    "a name of 200 KB": (raw({"lora." * 40_000: tensor()}, b"1234"), "header"),
    "many names on which a pattern could rest": (
        raw({f"{LORAS}{i}": tensor(0, 0, (0,)) for i in range(20_000)}), "no kind of model known here",
    ),
    "another encoding": (raw(json.dumps({"a": tensor()}).encode("utf-16")), "not JSON"),
    "a gap": (raw({"a": tensor(0, 4), "b": tensor(8, 12)}, b"1" * 12), "gaps"),
    "an overlap": (raw({"a": tensor(0, 4), "b": tensor(2, 6)}, b"1" * 6), "overlap"),
    "numbers before the header's end": (raw({"a": tensor(-4, 0)}), "header"),
    "ends before it starts": (raw({"a": tensor(4, 0)}), "header"),
    "another size than its shape": (raw({"a": tensor(0, 4, (2,))}, b"1234"), "header"),
    "a size that is a truth": (raw({"a": tensor(0, 4, (True,))}, b"1234"), "header"),
    "a size that is a text": (raw({"a": tensor(0, 4, "1")}, b"1234"), "header"),
    "a size of 5,000 digits": (sized(5000), "not JSON"),
    "a size of 4,000 digits": (sized(4000), "header"),
    "100,000 sides": (raw({"a": tensor(0, 4, (1,) * 100_000)}, b"1234"), "header"),
    "numbers of no kind": (raw({"a": tensor(dtype="F33")}, b"1234"), "header"),
    "a kind that is a list": (raw({"a": tensor(dtype=["F32"])}, b"1234"), "header"),
    "half a number": (raw({"a": tensor(0, 1, (1,), "F4")}, b"1"), "header"),
    "nested": (raw(b'{"a":' * 100_000), "not JSON"),
    "a block of a billion": (raw({name: tensor(0, 0, (0,)) for name in FAR}), "unet"),
    "lines and colours in a name": (raw({"a\nb\x1b[31m": tensor()}, b"1234"), "no kind of model known here"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_headers(tmp_path, case):
    content, word = HEADERS[case]
    (tmp_path / "a.safetensors").write_bytes(content)
    refused_alike(tmp_path / "a.safetensors", word)


def test_names_that_are_shown_are_one_line(whole, tmp_path):
    name = "model.diffusion_model.a\nb\x1b[31m\u202e" + "c" * 300
    save_file(load_file(whole / "tiny.safetensors") | {name: torch.zeros(1)}, tmp_path / "a.safetensors")
    refused_alike(tmp_path / "a.safetensors", r"a\nb\x1b[31m\u202ec", "...")
    assert shown("Zoë, 写真\t\ud800", 20) == r"Zoë, 写真\t\ud800"


@pytest.mark.parametrize("length", [12 << 30, (16 << 20) + 1])
def test_a_header_of_gigabytes_is_not_read(tmp_path, length):
    with open(tmp_path / "a.safetensors", "wb") as file:
        file.write(struct.pack("<Q", length) + b"{")
        file.truncate(length + 100)  # sparse
    refused_alike(tmp_path / "a.safetensors", f"{length:,} bytes")


def test_a_checkpoint_whose_name_is_too_long(tmp_path):
    refused_alike(tmp_path / ("a" * 5000), "cannot be read")


def truncate(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [truncate, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_file_that_is_harmed_while_it_is_read(whole, tmp_path, harm):
    """It is read and not mapped: mapped, what is missing would end the process."""
    path = shutil.copy(whole / "tiny.safetensors", tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"while it was read|cannot be read any more"):
        load(path, on_tensor=lambda: path.exists() and path.stat().st_size > 10**6 and harm(path))


def test_a_file_replaced_between_its_header_and_its_weights(whole, tmp_path):
    path = shutil.copy(whole / "tiny.safetensors", tmp_path / "a.safetensors")
    opened = open_checkpoint(path)
    path.write_bytes(path.read_bytes())
    assert opened.stamps != open_checkpoint(path).stamps


@pytest.mark.parametrize("config", [VAEConfig, CLIPConfig, UNetConfig])
def test_defaults_are_within_the_bounds(config):
    assert config() == config.from_json(config().to_json())


@pytest.mark.slow
def test_mutated_checkpoints():
    """tests/fuzz/checkpoints.py runs thousands."""
    from svd_nodes.tests.fuzz.checkpoints import run

    seen, failures = run(count=60, seed=0, seconds=300)
    assert failures == []
    assert seen["whole"] > 5
    assert seen["refused"] > 5
