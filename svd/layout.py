"""What a checkpoint is, in both layouts: three networks, each with its config and the places of its tensors."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Generic, TypeVar

from .config import CLIPConfig, UNetConfig, VAEConfig
from .errors import InputError
from .keymap import Layout, Naming
from .tensorfile import Entry, Stamp

UNET = "model.diffusion_model."
FIRST_STAGE = "first_stage_model."
CONFIG_KEY = "svd_nodes.config"  # in a single file's metadata, for models whose shapes do not tell everything
FRAMES = ((r"svd_xt|svd-xt|img2vid-xt", 25), (r"sv3d", 21), (r"svd|img2vid", 14))

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
        kinds = Counter(entry.dtype for entry in self.entries.values())
        return max(kinds, key=kinds.__getitem__, default="none")

    @property
    def parameters(self) -> int:
        """How many numbers the file holds for it."""
        return sum(prod(entry.shape) for entry in self.entries.values())


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint. `frames` is a hint from a config or the file's name, never read off the weights.

    path: the file or the diffusers folder itself, also where a folder around it was given. wrapper: "module." say,
    where a training program put that before the tensors' names; the entries' names are without it. stamps: of every
    file, from when its header was read.
    """

    path: Path
    layout: Layout
    family: str
    frames: int | None
    unet: Part[UNetConfig]
    vae: Part[VAEConfig]
    clip: Part[CLIPConfig]
    metadata: dict[str, str]
    wrapper: str
    stamps: Mapping[Path, Stamp]

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


def family(config: UNetConfig) -> str | None:
    """ "svd", "sv3d_u" or "sv3d_p", told by the sizes of the conditioning scalars (NUMERICS 12), else None."""
    dims = config.addition_time_embed_dim
    if sum(dims) != config.projection_class_embeddings_input_dim or any(dim % 2 for dim in dims):
        return None
    return {1: "sv3d_u", 3: "svd" if len(set(dims)) == 1 else "sv3d_p"}.get(len(dims))


def known_family(config: UNetConfig, path: Path) -> str:
    """The same. InputError instead of None."""
    known = family(config)
    if known is None:
        width = config.projection_class_embeddings_input_dim
        raise InputError(
            f"{path} is conditioned on {width} numbers, where SVD has 768, SV3D_u 256, SV3D_p 1280; use one of these."
        )
    return known


def frames_in_name(name: str) -> int | None:
    """The frame count that a file's name suggests, None if it suggests nothing."""
    return next((frames for pattern, frames in FRAMES if re.search(pattern, name.lower())), None)


def check_together(path: Path, unet: UNetConfig, vae: VAEConfig, clip: CLIPConfig) -> None:
    """InputError where the three networks cannot work together as SVD: channels and widths that do not meet."""
    latent = vae.latent_channels
    if unet.in_channels != 2 * latent:
        raise InputError(
            f"{path} has a UNet that takes {unet.in_channels} channels where SVD has {2 * latent} (the noisy latent "
            "and the picture's): it was made for another task, such as a mask; use an SVD checkpoint such as svd_xt."
        )
    if unet.out_channels != latent:
        raise InputError(
            f"{path} has a UNet that makes {unet.out_channels} channels, and its VAE takes {latent}; "
            "use an SVD checkpoint such as svd_xt."
        )
    if (vae.in_channels, vae.out_channels) != (3, 3):
        raise InputError(
            f"{path} has a VAE from {vae.in_channels} to {vae.out_channels} colour channels, where SVD has 3; "
            "use an SVD checkpoint such as svd_xt."
        )
    attention = [*map(max, unet.down_attention, unet.up_attention)]
    attention[-1] = True  # the middle block's
    contexts = {width for width, used in zip(unet.cross_attention_dim, attention, strict=True) if used}
    if contexts != {clip.projection_dim}:
        widths = ", ".join(map(str, sorted(contexts)))
        raise InputError(
            f"{path} has a UNet that takes embeddings of {widths} numbers, and a CLIP that makes "
            f"{clip.projection_dim}: its parts are of different models; download it again."
        )
