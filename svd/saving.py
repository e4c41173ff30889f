"""From networks to a file, in either layout. Nothing is half-written: it appears under its name when it is whole."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .clip import MEAN, STD
from .errors import InputError
from .files.names import is_staging
from .files.publish import FULL, place, place_folder, require_writable, unfinished_file, unfinished_folder
from .keymap import Layout, Naming, Source, clip_table, unet_table, vae_table
from .layout import CONFIG_KEY, FIRST_STAGE, UNET
from .saveable import plain
from .tensorfile import Planned, is_finite, write_tensors

if TYPE_CHECKING:
    from .checkpoint import Models

Plan = dict[str, Planned]

FOLDER_CONFIGS = (
    *("model_index.json", "unet/config.json", "vae/config.json", "image_encoder/config.json"),
    *("scheduler/scheduler_config.json", "feature_extractor/preprocessor_config.json"),
)
FOLDER_WEIGHTS = ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "image_encoder/model")

PIPELINE = {
    "_class_name": "StableVideoDiffusionPipeline",
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
    "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
}
SCHEDULER = {  # as published with SVD
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "sigma_max": 700.0,
    "sigma_min": 0.002,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "trained_betas": None,
    "use_karras_sigmas": True,
}


def save(
    models: "Models",
    path: str | Path,
    layout: Layout = "single",
    dtype: torch.dtype | None = None,
    *,
    variant: str | None = None,
    overwrite: bool = False,
) -> None:
    """Writes the three networks as one `.safetensors` file or as a folder that diffusers loads.

    dtype: of all weights, None keeps each as it is. variant: goes into a folder's file names, "fp16" say. The configs
    (and the metadata the model came with) go into the file's metadata or the folder's config.json. InputError if
    `path` is there already and `overwrite` is false (a folder with anything else in it is never overwritten), if the
    layout cannot hold the model, if a network carries adapters or is not what its config says, or if the place cannot
    be written to. OSError if the disk is full.
    """
    path = Path(path)
    check_target(path, layout, variant, overwrite)
    models = plain(models)
    if layout == "diffusers":
        _check_expressible(models)
    try:
        if layout == "single":
            with unfinished_file(path) as file:
                write_tensors(file, _single_file(models, dtype), _metadata(models))
                place(file, path, overwrite)
        else:
            with unfinished_folder(path) as folder:
                _write_folder(models, folder, dtype, variant)
                place_folder(folder, path, overwrite, lambda entry: _lost(entry, variant) is None)
    except FileExistsError:
        raise InputError(f"{path} was made by somebody else in the meantime; choose another name.") from None
    except OSError as error:
        if error.errno in FULL:
            raise  # no fault of what was given
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def check_target(path: Path, layout: Layout, variant: str | None = None, overwrite: bool = False) -> None:
    """InputError for what `save` refuses whatever the models are: to be asked before they are loaded."""
    if layout not in ("single", "diffusers"):
        raise InputError(f"layout is {layout!r}: it can be 'single' (one file) or 'diffusers' (a folder).")
    if layout == "single" and path.suffix != ".safetensors":
        raise InputError(f"{path} should end in .safetensors, for that is what is written.")
    if layout == "single" and variant:
        raise InputError(f"A single file has no variants; leave variant empty (it is {variant!r}).")
    if variant and not variant.isidentifier():
        raise InputError(f"variant is {variant!r}: it goes into file names, so it can be a word such as 'fp16'.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.absolute().parent} is no folder; make it first.")
    require_writable(path if path.is_dir() else path.absolute().parent)
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise InputError(f"{path} exists already; choose another name, or ask to overwrite it.")
    if path.is_dir() != (layout == "diffusers"):
        raise InputError(f"{path} exists and is something else, so it is not overwritten; choose another name.")
    entries = sorted(path.iterdir()) if path.is_dir() else []
    if lost := next(filter(None, (_lost(entry, variant) for entry in entries)), None):
        raise InputError(f"{path} holds {lost}, which would be lost; choose another name.")


def _lost(entry: Path, variant: str | None) -> str | None:
    """Of an entry of a folder, the first thing that saving does not write anew."""
    if is_staging(entry):  # unfinished work is left alone
        return None
    written = {*FOLDER_CONFIGS, *(f"{stem}{_ending(variant)}" for stem in FOLDER_WEIGHTS)}
    below = sorted(entry.rglob("*")) if entry.is_dir() and not entry.is_symlink() else [entry]
    here = (path.relative_to(entry.parent) for path in below if not path.is_dir() or path.is_symlink())
    return next((str(path) for path in here if path.as_posix() not in written), None)


def _ending(variant: str | None) -> str:
    return f".{variant}.safetensors" if variant else ".safetensors"


# ---- tensors


def _plan(module: nn.Module, naming: Naming, dtype: torch.dtype | None) -> Plan:
    """What one network writes, under the file's names."""
    grouped: dict[str, list[tuple[Source, Tensor]]] = {}
    for name, tensor in module.state_dict().items():
        source = naming.source(name, tuple(tensor.shape))
        grouped.setdefault(source.key, []).append((source, tensor))
    return {key: _planned(pieces, dtype or pieces[0][1].dtype) for key, pieces in grouped.items()}


def _planned(pieces: list[tuple[Source, Tensor]], dtype: torch.dtype) -> Planned:
    """One file tensor out of one of ours, or out of q, k and v."""
    source = pieces[0][0]

    def make() -> Tensor:
        tensors = [tensor.detach() for _, tensor in sorted(pieces, key=lambda piece: piece[0].third or 0)]
        tensor = torch.cat(tensors) if len(tensors) > 1 else tensors[0]
        return _checked((tensor.T if source.transposed else tensor).to("cpu", dtype), source.key)

    return Planned(source.shape, dtype, make)


def _checked(tensor: Tensor, name: str) -> Tensor:
    if not is_finite(tensor):
        raise InputError(
            f"'{name}' holds NaN, infinity or numbers too large for {str(tensor.dtype)[6:]}; save it in bf16 or fp32."
        )
    return tensor


def _single_file(models: "Models", dtype: torch.dtype | None) -> Plan:
    """All tensors of a single file.

    The encoder goes where the originals keep the condition's encoder. Programs that look for one beside the decoder
    find the same encoder there, with quant_conv (a linear map) folded into its last convolution if the decoder is
    temporal.
    """
    autoencoder = f"conditioner.embedders.{3 if models.family == 'svd' else 1}.encoder."
    config = models.vae.config
    home = autoencoder if config.quant_conv else FIRST_STAGE
    table = {
        "encoder": home + "encoder",
        "quant_conv": home + "quant_conv",
        "decoder": FIRST_STAGE + "decoder",
        "post_quant_conv": FIRST_STAGE + "post_quant_conv",
    }
    plan = _plan(models.unet, Naming("single", UNET), dtype) | _plan(models.vae, Naming("single", "", table), dtype)
    if config.quant_conv and models.family == "svd":
        twin = _plan(models.vae.encoder, Naming("single", FIRST_STAGE + "encoder."), dtype)
        if config.post_quant_conv:
            twin |= _plan(models.vae.quant_conv, Naming("single", FIRST_STAGE + "quant_conv."), dtype)
        else:
            twin |= _folded(models.vae.encoder.conv_out, models.vae.quant_conv, dtype)
        plan |= twin
    layers = models.clip.config.num_hidden_layers
    visual = Naming("single", "conditioner.embedders.0.open_clip.model.visual.", clip_table(layers))
    return plan | _plan(models.clip, visual, dtype)


def _folded(conv: Any, quant: Any, dtype: torch.dtype | None) -> Plan:
    """quant_conv after conv, as one convolution."""
    matrix = quant.weight.detach().double().flatten(1)  # o i 1 1 -> o i
    weight = torch.einsum("om,mikl->oikl", matrix, conv.weight.detach().double())
    bias = matrix @ conv.bias.detach().double() + quant.bias.detach().double()
    name = FIRST_STAGE + "encoder.conv_out"
    pieces = {"weight": (weight, conv.weight.dtype), "bias": (bias, conv.bias.dtype)}
    return {
        f"{name}.{leaf}": _planned([(Source(f"{name}.{leaf}", tuple(tensor.shape)), tensor)], dtype or own)
        for leaf, (tensor, own) in pieces.items()
    }


# ---- configs


def _configs(models: "Models") -> dict[str, dict[str, Any]]:
    """The three configs, with the frame count in the UNet's, as diffusers has it."""
    unet = models.unet.config.to_json()
    unet["num_frames"] = unet["num_frames"] or models.frames
    clip = {name: value for name, value in models.clip.config.to_dict().items() if name in CLIP_FIELDS}
    return {"unet": unet, "vae": models.vae.config.to_json(), "clip": clip}


CLIP_FIELDS = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size"),
    *("projection_dim", "hidden_act", "layer_norm_eps"),
)


def _metadata(models: "Models") -> dict[str, str]:
    return {**models.metadata, "format": "pt", CONFIG_KEY: json.dumps(_configs(models))}


def _folder_configs(models: "Models") -> dict[str, dict[str, Any]]:
    """Every JSON file of a diffusers folder."""
    configs = _configs(models)
    levels = len(models.vae.config.block_out_channels)
    ours_alone = ("temporal_decoder", "quant_conv", "post_quant_conv", "decoder_mid_layers")
    vae = {name: value for name, value in configs["vae"].items() if name not in ours_alone}
    unet = {name: value for name, value in configs["unet"].items() if not (name == "num_frames" and value is None)}
    image_size = configs["clip"]["image_size"]
    return {
        "model_index.json": PIPELINE,
        "unet/config.json": {"_class_name": PIPELINE["unet"][1], **unet},
        "vae/config.json": {
            "_class_name": PIPELINE["vae"][1],
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            **vae,
        },
        "image_encoder/config.json": {
            "architectures": [PIPELINE["image_encoder"][1]],
            "model_type": "clip_vision_model",
            "num_channels": 3,
            **configs["clip"],
        },
        "scheduler/scheduler_config.json": SCHEDULER,
        "feature_extractor/preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": {"height": image_size, "width": image_size},
            "size": {"shortest_edge": image_size},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": list(MEAN),
            "image_std": list(STD),
            "resample": 3,
            "rescale_factor": 1 / 255,
        },
    }


def _check_expressible(models: "Models") -> None:
    """One sentence for what diffusers' SVD classes have no room for."""
    config = models.vae.config
    if models.family != "svd":
        raise InputError(f"diffusers has no pipeline for {models.family}; use layout='single' (--layout single).")
    if not config.temporal_decoder or config.post_quant_conv:
        raise InputError(
            "diffusers' SVD has a temporal decoder alone, and this is an image decoder; "
            "use layout='single' (--layout single)."
        )
    if config.decoder_mid_layers != config.layers_per_block:
        raise InputError(
            "diffusers' decoder has as many middle blocks as layers per block, and this one has "
            f"{config.decoder_mid_layers} and {config.layers_per_block}; use layout='single' (--layout single)."
        )


def _write_folder(models: "Models", folder: Path, dtype: torch.dtype | None, variant: str | None) -> None:
    for name, values in _folder_configs(models).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    end = _ending(variant)
    metadata = {**models.metadata, "format": "pt"}
    unet = _plan(models.unet, Naming("diffusers", "", unet_table(models.unet.config)), dtype)
    vae = _plan(models.vae, Naming("diffusers", "", vae_table(models.vae.config)), dtype)
    if not models.vae.config.quant_conv:  # diffusers always has one: the identity
        vae |= _identity_quant_conv(2 * models.vae.config.latent_channels, dtype or torch.float32)
    write_tensors(folder / f"unet/diffusion_pytorch_model{end}", unet, metadata)
    write_tensors(folder / f"vae/diffusion_pytorch_model{end}", vae, metadata)
    write_tensors(folder / f"image_encoder/model{end}", _plan(models.clip, Naming("diffusers"), dtype), metadata)


def _identity_quant_conv(channels: int, dtype: torch.dtype) -> Mapping[str, Planned]:
    weight = torch.eye(channels, dtype=torch.float32, device="cpu")[:, :, None, None]
    bias = torch.zeros_like(weight[:, 0, 0, 0])
    return {
        f"quant_conv.{leaf}": _planned([(Source(f"quant_conv.{leaf}", tuple(tensor.shape)), tensor)], dtype)
        for leaf, tensor in (("weight", weight), ("bias", bias))
    }
