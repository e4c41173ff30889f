"""Opens a checkpoint, single file or diffusers folder, by its header alone: what it is and where its tensors lie."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Generic, TypeVar

from .config import CLIPConfig, UNetConfig, VAEConfig
from .errors import InputError
from .keymap import Layout, Naming, clip_config, clip_table, inverse, rename, unet_table, vae_table
from .recognise import kind_of
from .tensorfile import Entry, TensorFile, read_header

UNET = "model.diffusion_model."
FIRST_STAGE = "first_stage_model."
AUTOENCODER = re.compile(r"(conditioner\.embedders\.\d+\.encoder\.)encoder\.conv_in\.weight")
VISUAL = re.compile(r"(conditioner\.embedders\.\d+\.open_clip\.model\.visual\.)")
CONFIG_KEY = "svd_nodes.config"  # in a single file's metadata, for models whose shapes do not tell everything
FRAMES = ((r"svd_xt|svd-xt|img2vid-xt", 25), (r"sv3d", 21), (r"svd|img2vid", 14))
# What transformers takes where image_encoder/config.json is silent.
CLIP_DEFAULTS = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_DEFAULTS |= {"patch_size": 32, "projection_dim": 512, "hidden_act": "quick_gelu"}  # type: ignore[dict-item]
CLASSES = {"unet": "UNetSpatioTemporalConditionModel", "vae": "AutoencoderKLTemporalDecoder"}
PARTS = ("unet", "vae", "image_encoder")
# One file, or the index of its shards; the group is the variant.
WEIGHTS = r"(?:diffusion_pytorch_)?model\.(?:safetensors\.index\.)?(?:(\w+)\.)?(?:safetensors|json)"

C = TypeVar("C", UNetConfig, VAEConfig, CLIPConfig)


@dataclass(frozen=True)
class Part(Generic[C]):
    """One network as the checkpoint holds it. `entries` has its tensors alone, under the file's names."""

    config: C
    naming: Naming
    entries: dict[str, Entry]

    @property
    def dtype(self) -> str:
        """The numbers' type as safetensors writes it, "F16" say; the commonest if there are several."""
        return Counter(entry.dtype for entry in self.entries.values()).most_common(1)[0][0]

    @property
    def parameters(self) -> int:
        """How many numbers the file holds for it."""
        return sum(prod(entry.shape) for entry in self.entries.values())


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. `frames` is a hint from a config or the file's name, never read off the weights."""

    path: Path
    layout: Layout
    family: str
    frames: int | None
    unet: Part[UNetConfig]
    vae: Part[VAEConfig]
    clip: Part[CLIPConfig]
    metadata: dict[str, str]

    @property
    def folder(self) -> Path | None:
        """The diffusers folder, None for a single file."""
        return self.path if self.layout == "diffusers" else None

    @property
    def decoder(self) -> str:
        """ "temporal", or "image" in the `*_image_decoder` files and SV3D."""
        return "temporal" if self.vae.config.temporal_decoder else "image"

    @property
    def parts(self) -> dict[str, Part[Any]]:
        """The three networks by the names people know."""
        return {"UNet": self.unet, "VAE": self.vae, "CLIP": self.clip}

    def require_svd(self) -> None:
        """InputError for SV3D, whose conditioning the picture-to-video functions do not make."""
        if self.family != "svd":
            name = self.family.upper().replace("_", "-")
            raise InputError(
                f"{self.path.name} is {name}, which turns a camera around an object: "
                "choose an SVD checkpoint such as svd_xt.safetensors."
            )


def open_checkpoint(path: str | Path, variant: str | None = None) -> Checkpoint:
    """Recognises a checkpoint without reading its weights.

    path: a `.safetensors` file, or a diffusers folder; variant: of a folder, "fp16" say. None takes the plain files,
    and where there are none the only variant there is. Raises InputError if it is missing, damaged, or no SVD
    checkpoint.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, variant)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the name, or see the README for where to get the weights.")
    if variant:
        raise InputError(f"{path} is a single file, which has no variants; leave variant empty (it is {variant!r}).")
    return _open_file(read_header(path))


def family(config: UNetConfig) -> str | None:
    """ "svd", "sv3d_u" or "sv3d_p", told by the sizes of the conditioning scalars (NUMERICS 12), else None."""
    dims = config.addition_time_embed_dim
    if sum(dims) != config.projection_class_embeddings_input_dim:
        return None
    return {1: "sv3d_u", 3: "svd" if len(set(dims)) == 1 else "sv3d_p"}.get(len(dims))


def frames_in_name(name: str) -> int | None:
    """The frame count that a file's name suggests, None if it suggests nothing."""
    return next((frames for pattern, frames in FRAMES if re.search(pattern, name.lower())), None)


def _known_family(config: UNetConfig, path: Path) -> str:
    known = family(config)
    if known is None:
        width = config.projection_class_embeddings_input_dim
        raise InputError(
            f"{path} is conditioned on {width} numbers, where SVD has 768, SV3D_u 256, SV3D_p 1280; use one of these."
        )
    return known


# ---- single file


def _open_file(file: TensorFile) -> Checkpoint:
    """A single file, whose configs are in its metadata if we wrote it, else in its shapes."""
    names = file.entries
    autoencoder = next((found[1] for name in names if (found := AUTOENCODER.match(name))), FIRST_STAGE)
    visual = next((found[1] for name in names if (found := VISUAL.match(name))), None)
    temporal = any(name.startswith(UNET) and ".time_stack." in name for name in names)
    if not temporal or visual is None or not _has(names, FIRST_STAGE + "decoder.", autoencoder + "encoder."):
        kind = kind_of(names)
        raise InputError(f"{file.path} is not an SVD checkpoint: it looks like {kind.name}; {kind.advice}.")
    written = _written_configs(file)
    unet = _part(file, "unet", Naming("single", UNET), UNetConfig, written, UNetConfig.from_shapes)
    vae_naming = Naming("single", "", _vae_prefixes(file, autoencoder))
    vae = _part(file, "vae", vae_naming, VAEConfig, written, VAEConfig.from_shapes)
    clip = _clip_part(file, visual, written)
    return Checkpoint(
        path=file.path,
        layout="single",
        family=_known_family(unet.config, file.path),
        frames=unet.config.num_frames or frames_in_name(file.path.name),
        unet=unet,
        vae=vae,
        clip=clip,
        metadata={key: value for key, value in file.metadata.items() if key not in (CONFIG_KEY, "format")},
    )


def _has(names: Mapping[str, Any], *prefixes: str) -> bool:
    return all(any(name.startswith(prefix) for name in names) for prefix in prefixes)


def _vae_prefixes(file: TensorFile, autoencoder: str) -> dict[str, str]:
    """Our VAE's prefixes to the file's. The encoder is the conditioner's own, with its quant_conv, where there is one;
    `first_stage_model.encoder` without quant_conv is its twin in files that other programs wrote."""
    table = {"encoder": autoencoder + "encoder", "decoder": FIRST_STAGE + "decoder"}
    table["quant_conv"] = autoencoder + "quant_conv"
    if "decoder.mid.block_1.mix_factor" not in _inside(file.entries, FIRST_STAGE):
        table["post_quant_conv"] = FIRST_STAGE + "post_quant_conv"
    return table


def _inside(entries: Mapping[str, Entry], prefix: str) -> dict[str, Entry]:
    """What lies under a prefix, named without it."""
    return {name[len(prefix) :]: entry for name, entry in entries.items() if name.startswith(prefix)}


def _written_configs(file: TensorFile) -> dict[str, Any]:
    """The configs that `save` put in the metadata, {} in other people's files."""
    try:
        written = json.loads(file.metadata.get(CONFIG_KEY, "{}"))
        return {name: dict(written[name]) for name in ("unet", "vae", "clip") if name in written}
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{file.path} has a damaged '{CONFIG_KEY}' in its metadata; save it again from the original."
        ) from error


def _part(
    file: TensorFile,
    name: str,
    naming: Naming,
    kind: type[C],
    written: Mapping[str, Any],
    from_shapes: Callable[[dict[str, tuple[int, ...]]], C],
) -> Part[C]:
    """One network of a single file."""
    prefixes = tuple(f"{prefix}." for prefix in naming.table.values()) or (naming.prefix,)
    entries = {key: entry for key, entry in file.entries.items() if key.startswith(prefixes)}
    to_ours = inverse(naming.table)
    ours = {rename(to_ours, key.removeprefix(naming.prefix)): entry.shape for key, entry in entries.items()}
    try:
        config = kind.from_json(written[name]) if name in written else from_shapes(ours)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError(
            f"{file.path} has an incomplete {name}: {str(error)[:200]} is missing or misshapen; download it again."
        ) from error
    return Part(config, naming, entries)


def _clip_part(file: TensorFile, visual: str, written: Mapping[str, Any]) -> Part[CLIPConfig]:
    """CLIP in open_clip's names, or in transformers', which ComfyUI writes under the same prefix."""
    if visual + "visual_projection.weight" in file.entries:
        return _part(file, "clip", Naming("single", visual), CLIPConfig, written, CLIPConfig.from_shapes)
    part = _part(file, "clip", Naming("single", visual), CLIPConfig, written, clip_config)
    return Part(part.config, Naming("single", visual, clip_table(part.config.num_hidden_layers)), part.entries)


# ---- diffusers folder


def _open_folder(folder: Path, variant: str | None) -> Checkpoint:
    """A folder that diffusers' `save_pretrained` wrote."""
    _check_folder(folder)
    configs = {name: read_json(folder / name / "config.json") for name in PARTS}
    for name, wanted in CLASSES.items():
        found = configs[name].get("_class_name", wanted)
        if found != wanted:
            raise InputError(f"{folder} is not an SVD model: its {name} is a {found}, not a {wanted}; {_whole()}.")
    try:
        unet = UNetConfig.from_json(configs["unet"])
        vae = VAEConfig.from_json(configs["vae"])
        clip = CLIPConfig.from_json(CLIP_DEFAULTS | configs["image_encoder"])
    except (ValueError, TypeError) as error:
        raise InputError(f"{folder} has a config.json that describes no network ({error}).") from error
    files = {name: _weights(folder / name, variant) for name in PARTS}
    clip_entries = {key: e for key, e in _entries(files["image_encoder"]).items() if not key.endswith("position_ids")}
    return Checkpoint(
        path=folder,
        layout="diffusers",
        family=_known_family(unet, folder),
        frames=unet.num_frames,
        unet=Part(unet, Naming("diffusers", "", unet_table(unet)), _entries(files["unet"])),
        vae=Part(vae, Naming("diffusers", "", vae_table(vae)), _entries(files["vae"])),
        clip=Part(clip, Naming("diffusers"), clip_entries),
        metadata={key: value for key, value in files["unet"][0].metadata.items() if key != "format"},
    )


def _whole() -> str:
    return "use a folder saved by diffusers' StableVideoDiffusionPipeline, or a single file such as svd_xt.safetensors"


def _check_folder(folder: Path) -> None:
    """One sentence for a folder that is not a whole SVD folder."""
    missing = [name for name in PARTS if not (folder / name / "config.json").is_file()]
    if not missing:
        return
    if (folder / "model_index.json").is_file():
        kind = read_json(folder / "model_index.json").get("_class_name")
        if kind not in (None, "StableVideoDiffusionPipeline"):
            raise InputError(f"{folder} holds a {kind}, not a StableVideoDiffusionPipeline; {_whole()}.")
        raise InputError(f"{folder} lacks {missing[0]}/config.json; download the folder again.")
    if (folder.parent / "model_index.json").is_file():
        raise InputError(f"{folder} is one part of a diffusers folder; give the folder above, {folder.parent}.")
    inside = sorted(file.name for file in folder.glob("*.safetensors"))
    hint = f"; it holds {', '.join(inside[:3])}: give such a file instead." if inside else f"; {_whole()}."
    raise InputError(f"{folder} is not a diffusers folder (it has no model_index.json){hint}")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a diffusers folder. InputError if it is missing or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); download the folder again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} is not a JSON object; download the folder again.")
    return values


def _weights(folder: Path, variant: str | None) -> list[TensorFile]:
    """The headers of one part's weights: one file or the shards of an index, of the variant asked for."""
    found: dict[str | None, Path] = {}
    for path in sorted(folder.glob("*.safetensors*")):
        if named := re.fullmatch(WEIGHTS, path.name):
            found[named[1]] = path
    if not found:
        pickled = any(folder.glob("*.bin"))
        why = "only pickles (.bin), which can run any code when opened" if pickled else "no .safetensors file"
        raise InputError(f"{folder} holds {why}; download its safetensors files.")
    if variant is None and None not in found and len(found) == 1:
        variant = next(iter(found))
    if variant not in found:
        there = ", ".join(repr(name) for name in found if name) or "none"
        plain = " and the plain files" if None in found else ""
        raise InputError(f"{folder} has no variant {variant!r}; the variants there: {there}{plain}.")
    if found[variant].suffix == ".json":
        shards = sorted(set(read_json(found[variant]).get("weight_map", {}).values()))
        return [_shard(folder, name) for name in shards]
    return [read_header(found[variant])]


def _shard(folder: Path, name: str) -> TensorFile:
    path = folder / Path(name).name  # an index may not lead out of its folder
    if not path.is_file():
        raise InputError(f"{path} is missing, though the index names it; download the folder again.")
    return read_header(path)


def _entries(files: list[TensorFile]) -> dict[str, Entry]:
    return {name: entry for file in files for name, entry in file.entries.items()}
