"""What nothing could load is refused before anything is written; wrappers alone are taken off."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune

from svd_nodes.svd import InputError, StableVideoDiffusionPipeline, load, save
from svd_nodes.svd.pretrained import FeatureExtractor, Scheduler
from svd_nodes.tools.random_checkpoint import preset_models


class LoRA(nn.Module):
    """As peft's layers are: the layer inside, and two small ones beside it."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer = layer
        self.lora_A = nn.Linear(layer.in_features, 2, bias=False)
        self.lora_B = nn.Linear(2, layer.out_features, bias=False)

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


def first(network: nn.Module, kind: type[nn.Module], name: str = "") -> tuple[nn.Module, str, nn.Module]:
    path, layer = next((p, m) for p, m in network.named_modules() if isinstance(m, kind) and p.endswith(name))
    parent, _, leaf = path.rpartition(".")
    return network.get_submodule(parent), leaf, layer


def with_lora(models):
    parent, leaf, layer = first(models.unet, nn.Linear, "to_q")
    setattr(parent, leaf, LoRA(layer))


def with_lora_in_clip(models):
    parent, leaf, layer = first(models.clip, nn.Linear, "q_proj")
    setattr(parent, leaf, LoRA(layer))


def with_a_parametrization(models):
    parametrizations.weight_norm(first(models.vae, nn.Conv2d)[2])


def with_pruned_weights(models):
    prune.l1_unstructured(first(models.unet, nn.Linear, "to_v")[2], "weight", amount=0.3)


def with_a_layer_more(models):
    models.unet.extra = nn.Linear(2, 2)


def without_a_layer(models):
    del models.vae.quant_conv.bias
    models.vae.quant_conv.register_parameter("bias", None)


def with_nine_inputs(models):
    models.unet.input_blocks[0][0] = nn.Conv2d(9, 32, 3, padding=1)


def with_weights_elsewhere(models):
    models.vae.decoder.to("meta")


def with_whole_numbers(models):
    first(models.unet, nn.Linear)[2].weight = nn.Parameter(torch.zeros(128, 32, dtype=torch.int8), requires_grad=False)


REFUSED = {
    with_lora: r"The UNet has adapters in it \(.*to_q.base_layer.weight.*merge them first",
    with_lora_in_clip: r"The CLIP has adapters in it \(.*q_proj.base_layer.weight",
    with_a_parametrization: r"The VAE has adapters in it \(.*parametrizations",
    with_pruned_weights: r"The UNet has adapters in it \(.*weight_orig",
    with_a_layer_more: r"The UNet has layers that are not its own \(extra.weight and 1 more\), which nothing loads",
    without_a_layer: r"The VAE lacks quant_conv.bias",
    with_nine_inputs: r"input_blocks.0.0.weight is \(32, 9, 3, 3\), and by its config \(32, 8, 3, 3\)",
    with_weights_elsewhere: r"The VAE's weights are elsewhere \(decoder",
    with_whole_numbers: r"The UNet's time_embed.0.weight is int8, which nothing loads",
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_what_nothing_loads_is_refused_before_anything_is_written(change, tmp_path):
    models = preset_models("tiny")
    change(models)
    pipe = StableVideoDiffusionPipeline(models.vae, models.clip, models.unet)
    for write in (
        lambda: save(models, tmp_path / "file.safetensors"),
        lambda: save(models, tmp_path / "folder", "diffusers", torch.float16),
        lambda: pipe.save_pretrained(tmp_path / "folder"),
    ):
        with pytest.raises(InputError, match=REFUSED[change]):
            write()
    assert not any(tmp_path.iterdir())


def test_other_serialisation_is_refused(tmp_path):
    models = preset_models("tiny")
    pipe = StableVideoDiffusionPipeline(models.vae, models.clip, models.unet)
    for given in (False, "fp16"):
        with pytest.raises(InputError, match=f"safe_serialization is {given!r}: only safetensors are written"):
            pipe.save_pretrained(tmp_path / "folder", given)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("wrap", [lambda m: torch.compile(m, backend="eager"), nn.DataParallel])
def test_a_wrapped_network_is_saved_as_the_one_inside(wrap, tmp_path):
    models = preset_models("tiny")
    save(replace(models, unet=wrap(models.unet), clip=wrap(models.clip)), tmp_path / "file.safetensors")
    again = load(tmp_path / "file.safetensors")
    for name in ("unet", "clip"):
        expected, found = getattr(models, name).state_dict(), getattr(again, name).state_dict()
        assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


def test_adapters_of_peft_are_refused_and_merged_ones_are_saved(tmp_path):
    peft = pytest.importorskip("peft")
    models = preset_models("tiny")
    config = peft.LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False)
    adapted = peft.get_peft_model(models.unet, config)
    with pytest.raises(InputError, match="The UNet has adapters in it"):
        save(replace(models, unet=adapted), tmp_path / "file.safetensors")
    assert not any(tmp_path.iterdir())
    merged = adapted.merge_and_unload()
    save(replace(models, unet=merged), tmp_path / "file.safetensors")
    found = load(tmp_path / "file.safetensors").unet.state_dict()
    original = preset_models("tiny").unet.state_dict()
    assert all(torch.equal(found[key], tensor) for key, tensor in merged.state_dict().items())
    assert any(not torch.equal(found[key], tensor) for key, tensor in original.items())


@pytest.mark.parametrize("part", ["scheduler", "feature_extractor"])
def test_a_pipeline_with_parts_that_would_be_lost_is_not_saved(part, tmp_path):
    models = preset_models("tiny")
    pipe = StableVideoDiffusionPipeline(models.vae, models.clip, models.unet, num_frames=models.frames)
    changed = {"scheduler": Scheduler(sigma_max=80.0), "feature_extractor": FeatureExtractor((0.5, 0.5, 0.5))}
    setattr(pipe, part, changed[part])
    with pytest.raises(InputError, match=f"The {part} is .* not written yet"):
        pipe.save_pretrained(tmp_path / "s")
    assert not (tmp_path / "s").exists()
