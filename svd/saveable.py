"""Whether networks are what their configs say, so that what is saved can be loaded."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .clip import clip_shapes
from .config import CLIPConfig, Shapes
from .errors import InputError
from .tensorfile import DTYPES
from .unet import UNet
from .vae import VAE

if TYPE_CHECKING:
    from .checkpoint import Models

WRAPPERS = (["_orig_mod"], ["module"])  # torch.compile's, and DataParallel's of every kind
ADAPTERS = ("lora", "base_layer", "adapter", "hada", "lokr", "parametrizations", "ia3", "_orig")


def unwrapped(network: Any) -> Any:
    """The network inside torch.compile's and DistributedDataParallel's wrappers."""
    while isinstance(network, nn.Module) and list(network._modules) in WRAPPERS:
        (network,) = network._modules.values()
    return network


def plain(models: "Models") -> "Models":
    """The models without wrappers. InputError, for one whose tensors are not those of its config."""
    unet, vae, clip = (unwrapped(network) for network in (models.unet, models.vae, models.clip))
    with torch.device("meta"):
        expected = {"UNet": _shapes(UNet(unet.config)), "VAE": _shapes(VAE(vae.config))}
    expected["CLIP"] = clip_shapes(CLIPConfig.from_json(clip.config.to_dict()))
    for name, network in (("UNet", unet), ("VAE", vae), ("CLIP", clip)):
        _check(name, network, expected[name])
    return replace(models, unet=unet, vae=vae, clip=clip)


def _shapes(network: nn.Module) -> Shapes:
    return {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}


def _check(name: str, network: nn.Module, expected: Shapes) -> None:
    found = _shapes(network)
    if odd := [key for key in found if key not in expected]:
        adapters = any(part in key for key in odd for part in ADAPTERS)
        advice = "merge them first (peft's merge_and_unload)" if adapters else "take them off first"
        what = "adapters in it" if adapters else "layers that are not its own"
        raise InputError(f"The {name} has {what} ({odd[0]} and {len(odd) - 1} more), which nothing loads: {advice}.")
    if missing := [key for key in expected if key not in found]:
        raise InputError(f"The {name} lacks {missing[0]}: save one that is whole.")
    if misshapen := [key for key, shape in expected.items() if found[key] != shape]:
        shapes = (tuple(shape[misshapen[0]]) for shape in (found, expected))
        raise InputError("The {}'s {} is {}, and by its config {}: change both.".format(name, misshapen[0], *shapes))
    for key, tensor in network.state_dict().items():
        if tensor.is_meta:
            raise InputError(
                f"The {name}'s weights are elsewhere ({key}): take the hooks off that offload them first, with "
                "accelerate.hooks.remove_hook_from_submodules."
            )
        if tensor.dtype not in DTYPES.values():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(f"The {name}'s {key} is {kind}, which nothing loads: give dtype, torch.float16 say.")
