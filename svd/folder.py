"""A checkpoint in a folder as diffusers' `save_pretrained` writes it: a config and weights for each network."""

import json
import re
from pathlib import Path
from typing import Any

from .config import CLIPConfig, UNetConfig, VAEConfig
from .errors import InputError, shown
from .keymap import Naming, unet_table, vae_table
from .layout import UNET, Checkpoint, Part, check_together, known_family
from .recognise import COPY, TRAINED_UNET, unwrapped
from .tensorfile import Entry, TensorFile, read_header

# What transformers takes where image_encoder/config.json is silent.
CLIP_DEFAULTS = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_DEFAULTS |= {"patch_size": 32, "projection_dim": 512, "hidden_act": "quick_gelu"}  # type: ignore[dict-item]
CLASSES = {"unet": "UNetSpatioTemporalConditionModel", "vae": "AutoencoderKLTemporalDecoder"}
PARTS = ("unet", "vae", "image_encoder")
# One file, or the index of its shards; the group is the variant.
WEIGHTS = r"(?:diffusion_pytorch_)?model\.(?:safetensors\.index\.)?(?:(\w+)\.)?(?:safetensors|json)"
MOST_JSON = 16 << 20  # bytes; the index of SVD's shards has 200,000
MOST_SHARDS = 1024
WHOLE = "use a folder saved by diffusers' StableVideoDiffusionPipeline, or a single file such as svd_xt.safetensors"


def open_folder(folder: Path, variant: str | None) -> Checkpoint:
    """Recognises a folder by its configs and its weights' headers, or the one snapshot in a folder of the hub's cache.

    variant: "fp16" say; a part without files of it gives its plain ones, or the only ones it has. InputError if it is
    no whole SVD model.
    """
    folder = model_folder(folder)
    _check_folder(folder)
    configs = {name: read_json(folder / name / "config.json") for name in PARTS}
    for name, wanted in CLASSES.items():
        found = configs[name].get("_class_name", wanted)
        if found != wanted:
            raise InputError(f"{folder} is not an SVD model: its {name} is a {shown(found)}, not a {wanted}; {WHOLE}.")
    try:
        unet = UNetConfig.from_json(configs["unet"])
        vae = VAEConfig.from_json(configs["vae"])
        clip = CLIPConfig.from_json(CLIP_DEFAULTS | configs["image_encoder"])
    except (ValueError, TypeError) as error:
        raise InputError(f"{folder} has a config.json that describes no network ({shown(error)}).") from error
    family = known_family(unet, folder)
    check_together(folder, unet, vae, clip)
    files = _weights(folder, variant)
    (unet_entries, wrapper), (vae_entries, _), (clip_entries, _) = (unwrapped(_entries(files[name])) for name in PARTS)
    return Checkpoint(
        path=folder,
        layout="diffusers",
        family=family,
        frames=unet.num_frames,
        unet=Part(unet, _unet_naming(unet, unet_entries), unet_entries),
        vae=Part(vae, Naming("diffusers", "", vae_table(vae)), vae_entries),
        clip=Part(clip, Naming("diffusers"), clip_entries),
        metadata={key: value for key, value in files["unet"][0].metadata.items() if key != "format"},
        wrapper=wrapper,
        stamps={file.path: file.stamp for name in PARTS for file in files[name]},
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a diffusers folder. InputError if it is missing or damaged."""
    try:
        if not path.is_file():  # a pipe would be waited for
            raise InputError(f"{path} is missing, or no file; download the folder again.")
        if path.stat().st_size > MOST_JSON:
            raise InputError(f"{path} is larger than any config; download the folder again.")
        values = json.loads(path.read_text(encoding="utf-8-sig"))  # Windows' editors begin with a mark
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply for a config; download the folder again.") from error
    except ValueError as error:
        raise InputError(f"{path} cannot be read as JSON ({shown(error)}); download the folder again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} is not a JSON object; download the folder again.")
    return values


def model_folder(folder: Path) -> Path:
    """The model in a folder of the hub's cache (`models--owner--name`): what its main branch is, else the only one."""
    snapshots = folder if folder.name == "snapshots" else folder / "snapshots"
    if (folder / "model_index.json").exists() or not snapshots.is_dir():
        return folder
    there = sorted(path for path in snapshots.iterdir() if path.is_dir())
    main = snapshots.parent / "refs" / "main"
    commit = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else ""
    chosen = [path for path in there if path.name == commit] or there
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(shown(path.name, 60) for path in there[:4]) or "none"
    raise InputError(
        f"{folder} is a folder of the Hugging Face cache and not one model; give the snapshot in it: {names}."
    )


def _check_folder(folder: Path) -> None:
    """One sentence for a folder that is not a whole SVD folder."""
    missing = [name for name in PARTS if not (folder / name / "config.json").is_file()]
    if not missing:
        return
    if (folder / "model_index.json").is_file():
        kind = read_json(folder / "model_index.json").get("_class_name")
        if kind not in (None, "StableVideoDiffusionPipeline"):
            raise InputError(f"{folder} holds a {shown(kind)}, not a StableVideoDiffusionPipeline; {WHOLE}.")
        raise InputError(f"{folder} lacks {missing[0]}/config.json; download the folder again.")
    if (folder.parent / "model_index.json").is_file():
        raise InputError(f"{folder} is one part of a diffusers folder; give the folder above, {folder.parent}.")
    if unet := next((path for path in (folder, folder / "unet", folder / "unet_ema") if _is_unet(path)), None):
        where = "" if unet == folder else f" (it is in {unet})"
        raise InputError(f"{folder} is {TRAINED_UNET}{where}; {COPY}.")
    if any(folder.glob("models--*/snapshots")):
        raise InputError(f"{folder} is the Hugging Face cache; give the folder of one model in it (models--...).")
    inside = sorted(shown(file.name) for file in folder.glob("*.safetensors"))
    hint = f"; it holds {', '.join(inside[:3])}: give such a file instead." if inside else f"; {WHOLE}."
    raise InputError(f"{folder} is not a diffusers folder (it has no model_index.json){hint}")


def _is_unet(folder: Path) -> bool:
    """Whether it holds an SVD UNet, as training programs save it."""
    config = folder / "config.json"
    return config.is_file() and read_json(config).get("_class_name") == CLASSES["unet"]


def _unet_naming(config: UNetConfig, entries: dict[str, Entry]) -> Naming:
    """diffusers' names, or those of a single file where such a UNet was copied over the folder's own."""
    for prefix in ("", UNET):
        if f"{prefix}input_blocks.0.0.weight" in entries:
            return Naming("single", prefix)
    return Naming("diffusers", "", unet_table(config))


# ---- weights


def _weights(folder: Path, variant: str | None) -> dict[str, list[TensorFile]]:
    """The headers of every part's weights: one file, or the shards of an index."""
    there = {name: _variants(folder / name) for name in PARTS}
    if variant is not None and not any(variant in found for found in there.values()):
        names = sorted({name for found in there.values() for name in found if name})
        plain = " and the plain files" if any(None in found for found in there.values()) else ""
        raise InputError(f"{folder} has no variant {variant!r}; the variants there: {_listed(names) or 'none'}{plain}.")
    return {name: _files(_choice(folder / name, found, variant)) for name, found in there.items()}


def _variants(folder: Path) -> dict[str | None, Path]:
    """The weights of one part by their variant, None for the plain ones: the file, or the index of its shards."""
    found: dict[str | None, Path] = {}
    for path in sorted(folder.glob("*.safetensors*")):
        if named := re.fullmatch(WEIGHTS, path.name):
            found[named[1]] = path
    if not found:
        pickled = any(folder.glob("*.bin"))
        why = "only pickles (.bin), which can run any code when opened" if pickled else "no .safetensors file"
        raise InputError(f"{folder} holds {why}; download its safetensors files.")
    return found


def _choice(folder: Path, found: dict[str | None, Path], variant: str | None) -> Path:
    """The variant asked for, else the plain files, else the only ones."""
    if variant in found or None in found:
        return found.get(variant) or found[None]
    names = sorted(name for name in found if name)
    if len(names) == 1:
        return found[names[0]]
    if variant is not None:
        raise InputError(f"{folder} has no variant {variant!r}; the variants there: {_listed(names)}.")
    raise InputError(
        f"{folder} holds the variants {_listed(names)} and no plain files; choose one, with --variant {names[0]} or "
        f'variant="{names[0]}" in Python, or keep the files of one alone.'
    )


def _listed(names: list[str]) -> str:
    return ", ".join(repr(shown(name, 40)) for name in names[:8])


def _files(path: Path) -> list[TensorFile]:
    """The headers behind one file or the index of its shards."""
    if path.suffix != ".json":
        return [read_header(path)]
    places = read_json(path).get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise InputError(f"{path} is damaged: its weight_map does not say which file holds what; download it again.")
    names = sorted({_last(name) for name in places.values()})
    if len(names) > MOST_SHARDS:
        raise InputError(f"{path} is damaged: its weight_map names {len(names):,} files; download it again.")
    for name in names:
        if not _is_file(path.parent / name):
            where = path.parent / shown(name, 60)
            raise InputError(f"{where} is missing, though the index names it; download the folder again.")
    return [read_header(path.parent / name) for name in names]


def _last(name: str) -> str:
    """A shard's name without folders: an index may not lead out of its own."""
    return re.split(r"[/\\]", name)[-1]


def _is_file(path: Path) -> bool:
    """Whether it is there; no name is too long or too strange to ask."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _entries(files: list[TensorFile]) -> dict[str, Entry]:
    """All tensors but position_ids, which older transformers wrote and newer ones make."""
    found = ((name, entry) for file in files for name, entry in file.entries.items())
    return {name: entry for name, entry in found if not name.endswith("position_ids")}
