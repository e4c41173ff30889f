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

    memory: what the user chose of fast, balanced and low; where weights lie is the manager's business in all of them.
    streams: whether its layers were built with `ops`; a network without them is loaded whole.
    """

    def __init__(self, module: N, memory: str = "fast", streams: bool = True) -> None:
        self.module = module
        self.memory = memory
        self.streams = streams
        device = memory_manager.get_torch_device()
        self._patcher = ModelPatcher(_Held.of(module), load_device=device, offload_device=storage_device())

    @contextmanager
    def at_work(self, memory: int, advice: str) -> Iterator[tuple[N, torch.device]]:
        """Yields (module, device) ready to work. `memory`: bytes its activations need. Out of memory: `advice`."""
        try:
            memory_manager.load_models_gpu([self._patcher], memory_required=memory, force_full_load=not self.streams)
            device = self._patcher.load_device
            with _heeding_cancel(self.module, device):
                yield self.module, device
        except memory_manager.OOM_EXCEPTION as error:
            memory_manager.unload_all_models()
            raise MemoryError(advice) from error


@contextmanager
def _heeding_cancel(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Looks at the cancel button within a step or a chunk, which can take longer than anyone waits.

    Before every block of the network; on the CPU, where a block can take seconds, before every layer.
    """
    modules = list(network.modules())
    if device.type == "cpu":
        places = [module for module in modules if not any(True for _ in module.children())]
    else:
        places = [block for blocks in modules if isinstance(blocks, nn.ModuleList) for block in blocks]
    hooks = [place.register_forward_pre_hook(lambda *_: heed_cancel()) for place in places]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def heed_cancel() -> None:
    """Ends the run here if the user has pressed cancel."""
    memory_manager.throw_exception_if_processing_interrupted()


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


def work_device() -> torch.device:
    """Where networks work."""
    return memory_manager.get_torch_device()


def free_memory() -> int | None:
    """Bytes that networks and their work may take on the device. None where it has no memory of its own."""
    device = memory_manager.get_torch_device()
    return None if memory_manager.is_device_cpu(device) else memory_manager.get_total_memory(device)


def storage_device() -> torch.device:
    """Where networks are loaded to, and rest when they are not at work."""
    return memory_manager.unet_offload_device()


def result_device() -> torch.device:
    """Where results wait for the next node."""
    return memory_manager.intermediate_device()
