"""A checkpoint in one file, in sgm's names: its configs are in its metadata if we wrote it, else in its shapes."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .config import CLIPConfig, UNetConfig, VAEConfig
from .errors import InputError, shown
from .keymap import Naming, clip_config, clip_table, inverse, rename
from .layout import CONFIG_KEY, FIRST_STAGE, UNET, C, Checkpoint, Part, check_together, frames_in_name, known_family
from .recognise import TRAINED_UNET, WHOLE, kind_of, unwrapped
from .tensorfile import Entry, TensorFile

AUTOENCODER = re.compile(r"(conditioner\.embedders\.\d+\.encoder\.)encoder\.conv_in\.weight")
VISUAL = re.compile(r"(conditioner\.embedders\.\d+\.open_clip\.model\.visual\.)")
Entries = dict[str, Entry]


def open_file(file: TensorFile) -> Checkpoint:
    """Recognises a whole checkpoint by its header. InputError, which says what it is, if it is none."""
    entries, wrapper = unwrapped(file.entries)
    autoencoder = next((found[1] for name in entries if (found := AUTOENCODER.match(name))), FIRST_STAGE)
    visual = next((found[1] for name in entries if (found := VISUAL.match(name))), None)
    temporal = any(name.startswith(UNET) and ".time_stack." in name for name in entries)
    has_vae = _has(entries, FIRST_STAGE + "decoder.", autoencoder + "encoder.")
    if not temporal or visual is None or not has_vae:
        absent = [name for name, there in (("UNet", temporal), ("VAE", has_vae), ("CLIP", visual)) if not there]
        raise InputError(_refusal(file.path, entries, wrapper, absent))
    written = _written_configs(file)
    unet = _part(file.path, entries, "unet", Naming("single", UNET), UNetConfig, written, UNetConfig.from_shapes)
    vae_naming = Naming("single", "", _vae_prefixes(entries, autoencoder))
    vae = _part(file.path, entries, "vae", vae_naming, VAEConfig, written, VAEConfig.from_shapes)
    clip = _clip_part(file.path, entries, visual, written)
    family = known_family(unet.config, file.path)
    check_together(file.path, unet.config, vae.config, clip.config)
    return Checkpoint(
        path=file.path,
        layout="single",
        family=family,
        frames=unet.config.num_frames or frames_in_name(file.path.name),
        unet=unet,
        vae=vae,
        clip=clip,
        metadata={key: value for key, value in file.metadata.items() if key not in (CONFIG_KEY, "format")},
        wrapper=wrapper,
        stamps={file.path: file.stamp},
    )


def _refusal(path: Path, entries: Entries, wrapper: str, absent: list[str]) -> str:
    """What a file that is no whole checkpoint looks like, and what to do."""
    kind = kind_of(entries)
    looks, advice = kind.name, kind.advice
    if 0 < len(absent) < 3 and _has(entries, UNET) and absent != ["VAE", "CLIP"]:
        looks, advice = f"an SVD checkpoint with parts left out: its {' and '.join(absent)}", WHOLE
    whole = path.absolute().parent.parent
    if kind.name == TRAINED_UNET and path.parent.name == "unet" and (whole / "model_index.json").is_file():
        looks, advice = "the UNet of a diffusers folder", f"give that folder, {whole}"
    behind = f" (its names begin with '{shown(wrapper)}')" if wrapper else ""
    return f"{path} is not an SVD checkpoint: it looks like {looks}{behind}; {advice}."


def _has(names: Mapping[str, Any], *prefixes: str) -> bool:
    return all(any(name.startswith(prefix) for name in names) for prefix in prefixes)


def _vae_prefixes(entries: Entries, autoencoder: str) -> dict[str, str]:
    """Our VAE's prefixes to the file's. The encoder is the conditioner's own, with its quant_conv, where there is one;
    `first_stage_model.encoder` without quant_conv is its twin in files that other programs wrote."""
    table = {"encoder": autoencoder + "encoder", "decoder": FIRST_STAGE + "decoder"}
    table["quant_conv"] = autoencoder + "quant_conv"
    if FIRST_STAGE + "decoder.mid.block_1.mix_factor" not in entries:
        table["post_quant_conv"] = FIRST_STAGE + "post_quant_conv"
    return table


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
    path: Path,
    entries: Entries,
    name: str,
    naming: Naming,
    kind: type[C],
    written: Mapping[str, Any],
    from_shapes: Callable[[dict[str, tuple[int, ...]]], C],
) -> Part[C]:
    """One network of a single file."""
    prefixes = tuple(f"{prefix}." for prefix in naming.table.values()) or (naming.prefix,)
    inside = {
        key: entry for key, entry in entries.items() if key.startswith(prefixes) and not key.endswith("position_ids")
    }
    to_ours = inverse(naming.table)
    ours = {rename(to_ours, key.removeprefix(naming.prefix)): entry.shape for key, entry in inside.items()}
    try:
        config = kind.from_json(written[name]) if name in written else from_shapes(ours)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} has an incomplete {name}: {shown(error)} is missing or misshapen; download it again."
        ) from error
    return Part(config, naming, inside)


def _clip_part(path: Path, entries: Entries, visual: str, written: Mapping[str, Any]) -> Part[CLIPConfig]:
    """CLIP in open_clip's names, or in transformers', which ComfyUI writes under the same prefix."""
    naming = Naming("single", visual)
    if visual + "visual_projection.weight" in entries:
        return _part(path, entries, "clip", naming, CLIPConfig, written, CLIPConfig.from_shapes)
    part = _part(path, entries, "clip", naming, CLIPConfig, written, clip_config)
    return Part(part.config, Naming("single", visual, clip_table(part.config.num_hidden_layers)), part.entries)
