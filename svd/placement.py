"""Where networks are, and where they compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import nn

from .errors import InputError
from .streaming import Streamed
from .unet import UNet


@dataclass(frozen=True)
class Placement:
    """Where a pipeline's networks work. device: each comes there for its own part and goes back to main memory; None
    leaves it where it is. streams: the UNet's weights come layer by layer."""

    device: torch.device | None = None
    streams: bool = False
    _streamed: dict[UNet, Streamed] = field(default_factory=dict)  # packed once: it takes a second

    def anew(self) -> Self:
        """The same for networks that were changed."""
        return replace(self, _streamed={})

    @contextmanager
    def at_work(self, network: Any) -> Iterator[tuple[Any, torch.device]]:
        """Yields the network, ready to work, and its device. It goes back however the work ends."""
        if self.device is None:
            with _announced(network):
                yield network, work_device(network)
        elif self.streams and isinstance(network, UNet):
            if network not in self._streamed:
                self._streamed.clear()
                self._streamed[network] = Streamed(network, self.device)
            with self._streamed[network].on_card() as unet:
                yield unet, self.device
        else:
            try:
                yield network.to(self.device), self.device
            finally:
                network.to("cpu")


@contextmanager
def _announced(network: Any) -> Iterator[None]:
    """Has a network's own hook bring its weights, as calling it would: a VAE is never called, it encodes or decodes."""
    hook = getattr(network, "_hf_hook", None)
    if hook is None:
        yield
        return
    hook.pre_forward(network)
    try:
        yield
    finally:
        hook.post_forward(network, None)


def work_device(network: nn.Module) -> torch.device:
    """Its weights' device; or the one that hooks bring them to, which keep them elsewhere meanwhile.

    Such hooks are accelerate's (cpu_offload, disk_offload, dispatch_model ...): every one says its execution device.
    InputError if the weights are nowhere and nothing brings them.
    """
    for module in network.modules():
        device = _brought_to(getattr(module, "_hf_hook", None))
        if device is not None:
            return device
    device = next(p.device for p in network.parameters())
    if device.type == "meta":
        raise InputError("The network's weights are on the meta device, so there are none: load them first.")
    return device


def owns_weights(network: nn.Module) -> bool:
    """Whether they lie on its device by themselves, so that they can be read without calling its layers."""
    return not any(hasattr(module, "_hf_hook") for module in network.modules())


def _brought_to(hook: Any) -> torch.device | None:
    """The device of one hook, or of the first of several that has one."""
    hooks = getattr(hook, "hooks", (hook,))
    devices = (getattr(each, "execution_device", None) for each in hooks)
    return next((_device(device) for device in devices if device is not None), None)


def _device(device: Any) -> torch.device:
    return torch.device("cuda", device) if isinstance(device, int) else torch.device(device)


def card(gpu_id: Any = None, device: Any = None) -> torch.device:
    """One device, by number, by name, or by both; the first CUDA card by default. InputError unless it is there."""
    given = next((each for each in (device, gpu_id) if each is not None), "cuda")
    try:
        found = _device(given)
        if device is not None and gpu_id is not None:
            if found.index not in (None, gpu_id):
                raise InputError(f"gpu_id is {gpu_id} and device {str(device)!r}: give one of the two.")
            found = torch.device(found.type, gpu_id)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError):
        name = f"cuda:{given}" if isinstance(given, int) else str(given)
        raise InputError(f"There is no device {name!r} here to bring the networks to.") from None
    return found


def mapped(device_map: Any) -> torch.device | None:
    """The one device that a device_map of diffusers' names, None if it is None. InputError if it names several."""
    if isinstance(device_map, dict) and list(device_map) == [""]:
        device_map = device_map[""]
    if isinstance(device_map, dict) or device_map in ("auto", "balanced", "balanced_low_0", "sequential"):
        raise InputError(
            f"device_map is {device_map!r}, but a model is not spread over devices here: give one, such as 'cuda', or "
            "call enable_model_cpu_offload()."
        )
    return None if device_map is None else card(device_map)
