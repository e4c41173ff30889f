"""The parts of a pipeline that somebody brings: our own, or diffusers' and transformers' made ours.

A network of diffusers' becomes one of ours that shares its weights: nothing is copied, and what is trained further
there is seen here.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .config import UNetConfig, VAEConfig
from .errors import InputError
from .keymap import Naming, unet_table, vae_table
from .pretrained import FeatureExtractor, Scheduler
from .saveable import unwrapped
from .unet import UNet
from .vae import VAE


def own_part(name: str, part: Any) -> Any:
    """What a pipeline can use for a part of this name. InputError, when it is given, on what it cannot."""
    return MAKERS[name](part)


def _own_unet(unet: Any) -> Any:
    for network in (unet, unwrapped(unet)):
        if isinstance(getattr(network, "config", None), UNetConfig):
            return network
    theirs = _theirs(unet, "UNetSpatioTemporalConditionModel", "unet")
    config = UNetConfig.from_json(theirs.config)
    with torch.device("meta"):
        ours = UNet(config)
    return _with_weights_of(ours, theirs, Naming("diffusers", "", unet_table(config)), "unet")


def _own_vae(vae: Any) -> Any:
    for network in (vae, unwrapped(vae)):
        if isinstance(getattr(network, "config", None), VAEConfig):
            return network
    theirs = _theirs(vae, "AutoencoderKLTemporalDecoder", "vae")
    config = VAEConfig.from_json(theirs.config)
    with torch.device("meta"):
        ours = VAE(config)
    ours = _with_weights_of(ours, theirs, Naming("diffusers", "", vae_table(config)), "vae")
    for half in (ours.encoder, ours.quant_conv):
        half.float()  # it encodes in fp32 in every precision
    return ours


def _theirs(network: Any, kind: str, name: str) -> Any:
    """A network of diffusers' class of this name, out of its wrappers."""
    network = unwrapped(network)
    if not any(each.__name__ == kind for each in type(network).__mro__):
        raise InputError(f"{name} is a {type(network).__name__}: give one of svd_nodes, or diffusers' {kind}.")
    return network


def _with_weights_of(ours: Any, theirs: nn.Module, naming: Naming, name: str) -> Any:
    weights: dict[str, Tensor] = theirs.state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in ours.state_dict().items()}
    sources = {key: naming.source(key, shape).key for key, shape in shapes.items()}
    if odd := sorted(set(weights) ^ set(sources.values())):
        raise InputError(
            f"{name} has not the layers of its config ({', '.join(odd[:2])} ...): if it carries adapters, merge them "
            "first (peft's merge_and_unload)."
        )
    if any(tensor.is_meta for tensor in weights.values()):
        raise InputError(f"{name} has its weights elsewhere (offloaded): give it with its weights.")
    ours.load_state_dict({key: weights[source].reshape(shapes[key]) for key, source in sources.items()}, assign=True)
    return ours.eval().requires_grad_(False)


def _own_encoder(encoder: Any) -> Any:
    if not hasattr(encoder, "visual_projection"):
        kind = type(encoder).__name__
        raise InputError(f"image_encoder is a {kind}: give transformers' CLIPVisionModelWithProjection.")
    return encoder


def _own_scheduler(scheduler: Any) -> Any:
    if scheduler is None:
        return Scheduler()
    if callable(getattr(scheduler, "sigmas", None)):
        return scheduler
    if type(scheduler).__name__ != "EulerDiscreteScheduler":
        kind = type(scheduler).__name__
        raise InputError(f"scheduler is a {kind}: give diffusers' EulerDiscreteScheduler, or sigmas to the call.")
    return Scheduler.from_config(scheduler.config, "scheduler")


def _own_extractor(extractor: Any) -> Any:
    if extractor is None:
        return FeatureExtractor()
    if not hasattr(extractor, "image_mean") or not hasattr(extractor, "image_std"):
        raise InputError(f"feature_extractor is a {type(extractor).__name__}: give transformers' CLIPImageProcessor.")
    return extractor


MAKERS: dict[str, Callable[[Any], Any]] = {
    "vae": _own_vae,
    "image_encoder": _own_encoder,
    "unet": _own_unet,
    "scheduler": _own_scheduler,
    "feature_extractor": _own_extractor,
}
