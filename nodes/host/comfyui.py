"""The host when the nodes live in ComfyUI: its folders, memory manager, progress bar, previews and cancel button."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import comfy.latent_formats
import comfy.model_management as memory_manager
import comfy.ops
import comfy.utils
import folder_paths
import latent_preview
import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.v0_0_2 import ComfyExtension as ComfyExtension
from comfy_api.v0_0_2 import io as io
from torch import Tensor, nn

from ...svd.errors import InputError
from .advice import Advice, out_of_memory
from .folders import MODEL_PAGE, NO_CHECKPOINT, PACK_CHECKPOINTS, checkpoint_list, diffusers_folders

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
UNET_PARAMETERS = 1_524_623_082

N = TypeVar("N", bound=nn.Module)

ops = comfy.ops.manual_cast
"""Layers whose weights the memory manager can stream to a card that is too small for all of them."""

folder_paths.add_model_folder_path("checkpoints", str(PACK_CHECKPOINTS))


def checkpoint_names() -> list[str]:
    """What the checkpoint widget offers. On a fresh install: one entry that says what to do."""
    files = [name for name in folder_paths.get_filename_list("checkpoints") if name.endswith(".safetensors")]
    return checkpoint_list(files, [name for root in _roots() for name in diffusers_folders(root)])


def checkpoint_path(name: str) -> Path:
    """The file or folder behind a name of the list. InputError if there is none."""
    if name in checkpoint_names():
        for path in (Path(root) / name for root in _roots()):
            if path.exists():
                return path
    if name == NO_CHECKPOINT:
        raise InputError(
            f"There is no checkpoint yet: get svd_xt.safetensors from {MODEL_PAGE}, put it in models/checkpoints, "
            "press R and choose it here."
        )
    get = f"get it from {MODEL_PAGE}, " if name == "svd_xt.safetensors" else ""
    raise InputError(
        f"There is no checkpoint called {name!r}: {get}put it in models/checkpoints, press R and choose it here."
    )


def _roots() -> list[str]:
    return folder_paths.get_folder_paths("checkpoints") + folder_paths.get_folder_paths("diffusers")


def precision(choice: str) -> torch.dtype:
    """The dtype that a `precision` widget stands for; auto is what ComfyUI would give a UNet of this size here."""
    if choice != "auto":
        return DTYPES[choice]
    device = memory_manager.get_torch_device()
    chosen = memory_manager.unet_dtype(device, UNET_PARAMETERS, supported_dtypes=list(DTYPES.values()))
    return chosen if chosen in DTYPES.values() else torch.float32


class _Held(nn.Module):
    """Keeps the attributes that the memory manager writes (`device`, ...) off the network itself.

    It has a subclass for each network, since the manager's log calls a network by its class.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def of(cls, network: nn.Module) -> "_Held":
        name = type(network).__name__.removesuffix("VisionModelWithProjection")  # transformers' CLIP
        held: type[_Held] = type(f"SVD_{name}", (cls,), {})
        return held(network)


class Network(Generic[N]):
    """A network as it travels on a wire. The memory manager loads it before work, and evicts it when others need room.

    streams: whether its layers were built with `ops`; a network without them is loaded whole.
    """

    def __init__(self, module: N, streams: bool = True) -> None:
        self.module = module
        self.streams = streams
        device = memory_manager.get_torch_device()
        self._patcher = ModelPatcher(_Held.of(module), load_device=device, offload_device=storage_device())

    @contextmanager
    def at_work(self, memory: int, advice: Advice) -> Iterator[tuple[N, torch.device]]:
        """Yields (module, device) ready to work. `memory`: bytes its activations need. Out of memory: `advice`."""
        room = None
        try:
            memory_manager.load_models_gpu([self._patcher], memory_required=memory, force_full_load=not self.streams)
            room = memory_manager.get_free_memory(self._patcher.load_device)
            yield self.module, self._patcher.load_device
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            memory_manager.unload_all_models()
            raise MemoryError(advice(room)) from error


def progress(total: int) -> Callable[..., None]:
    """A callback (step, total, denoised latents or None) for the progress bar, with core's preview of frame 0.

    It raises when the user has pressed cancel.
    """
    previewer = latent_preview.get_previewer(memory_manager.get_torch_device(), comfy.latent_formats.SD15())
    bar = comfy.utils.ProgressBar(total)

    def report(step: int, total: int = total, denoised: Tensor | None = None) -> None:
        shown = previewer is not None and denoised is not None
        bar.update_absolute(step, total, previewer.decode_latent_to_preview_image("JPEG", denoised) if shown else None)

    return report


def storage_device() -> torch.device:
    """Where networks are loaded to, and rest when they are not at work."""
    return memory_manager.unet_offload_device()


def result_device() -> torch.device:
    """Where results wait for the next node."""
    return memory_manager.intermediate_device()
