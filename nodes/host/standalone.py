"""The host when there is no editor: plain torch, checkpoints from folders, progress to whoever asked for it."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ...svd import memory as memory_module
from ...svd.streaming import Streamed
from ...svd.unet import UNet
from ..preview import Colours
from . import standalone_io as io
from .advice import Advice, out_of_memory
from .folders import default_folders, find_checkpoint, names_in
from .work import Work

Progress = Callable[[int, int, Tensor | None], None]

ops = torch.nn


class ComfyExtension:
    """Base of the pack's entry point, as in the editor's node API."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        raise NotImplementedError


@dataclass(frozen=True)
class Session:
    """How nodes run inside `with Session(...).active():`; each field has a usable default."""

    checkpoint_folders: tuple[Path, ...] = field(default_factory=default_folders)
    device: torch.device | None = None
    """None: `default_device`."""
    on_progress: Progress | None = None
    """Called as (step, total, denoised latents or None). Raising in it stops the run."""

    @contextmanager
    def active(self) -> Iterator["Session"]:
        token = _session.set(self)
        try:
            yield self
        finally:
            _session.reset(token)


_session: ContextVar[Session | None] = ContextVar("svd_nodes_session", default=None)


def _current() -> Session:
    return _session.get() or Session()


def default_device() -> torch.device:
    """The first CUDA card, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _device() -> torch.device:
    return _current().device or default_device()


def checkpoint_names() -> list[str]:
    """What the checkpoint widget offers. On a fresh install: one entry that says what to do."""
    return names_in(_current().checkpoint_folders)


def checkpoint_path(name: str) -> Path:
    """The file or folder behind a path, or else behind a name of the list. InputError if there is none."""
    return find_checkpoint(name, _current().checkpoint_folders)


def precision(choice: str) -> torch.dtype:
    """The dtype that a `precision` widget stands for; auto is fp16 on a card and fp32 on the CPU."""
    auto = torch.float32 if _device().type == "cpu" else torch.float16
    return {"auto": auto, "fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[choice]


N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class Network(Generic[N]):
    """A network as it travels on a wire. It moves to the device at its first work.

    memory: fast, and it stays there; balanced, and it leaves after its work; low, and a UNet's weights come layer by
    layer.
    """

    module: N
    memory: str = "fast"
    streams: bool = True
    """Whether its layers were built with `ops`; matters to the editor alone."""
    _kept: dict[str, Any] = field(default_factory=dict)

    @property
    def low_moves_weights(self) -> bool:
        """Whether setting `memory` to low would leave more room beside the weights than there is now."""
        return self.memory == "fast" or (self.memory == "balanced" and isinstance(self.module, UNet))

    def free_memory(self) -> int | None:
        """Bytes that can be had where it works; None where the device has no memory of its own."""
        return memory_module.free_memory(_device())

    @contextmanager
    def at_work(self, memory: int, advice: Advice) -> Iterator[tuple[N, torch.device]]:
        """Yields (module, device) ready to work. `memory`: bytes its activations need. Out of memory: `advice`."""
        device = _device()
        room = None
        try:
            with self._placed(device):
                room = memory_module.free_memory(device)
                yield self.module, device
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise MemoryError(advice(room)) from error

    @contextmanager
    def _placed(self, device: torch.device) -> Iterator[None]:
        """The module on the device, as `memory` says."""
        if self.memory == "fast" or device.type != "cuda":
            self.module.to(device)
            yield
        elif self.memory == "low" and isinstance(self.module, UNet):
            with self._streamed(self.module, device).on_card():
                yield
        else:
            try:
                self.module.to(device)
                yield
            finally:
                self.module.to("cpu")

    def _streamed(self, unet: UNet, device: torch.device) -> Streamed:
        """Packed once: it takes a second."""
        if "streamed" not in self._kept:
            self._kept["streamed"] = Streamed(unet, device)
        return self._kept["streamed"]


@contextmanager
def advising(advice: str) -> Iterator[None]:
    """Turns torch's ways of running out of memory, on a card or in main memory, into a MemoryError with advice."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise MemoryError(advice) from error


def progress(
    total: int, frames: int | None = None, work: Work | None = None, colours: Colours | None = None
) -> Callable[..., None]:
    """A callback (step, total, denoised latents or None) that shows how far a node has come.

    frames, work and colours are for the editor's previews and forecasts.
    """
    on_progress = _current().on_progress

    def report(step: int, total: int = total, denoised: Tensor | None = None) -> None:
        if on_progress is not None:
            on_progress(step, total, denoised)

    return report


def work_device() -> torch.device:
    """Where networks work."""
    return _device()


def free_memory() -> int | None:
    """Bytes free on the device; None where it has no memory of its own."""
    return memory_module.free_memory(_device())


def heed_cancel() -> None:
    """Nothing to do: without an editor, Ctrl-C ends the run by itself."""


def seconds_for(work: Work) -> float | None:
    """None: nobody asks here, and nothing is remembered."""
    return None


def device_memory() -> int | None:
    """Bytes of memory that the device has in all; None where that is not known."""
    device = _device()
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None


def serve_page(answers: Mapping[str, Callable[[Mapping[str, str]], dict[str, Any]]]) -> None:
    """There is no page."""


def storage_device() -> torch.device:
    """Where networks are loaded to, and wait for their first work."""
    return torch.device("cpu")


def result_device() -> torch.device:
    """Where results wait for the next node."""
    return torch.device("cpu")


def problem(node: type[io.ComfyNode], inputs: Mapping[str, Any]) -> str | None:
    """Runs a node's own check of its widgets as the editor does: only the inputs it names, None for a linked one."""
    named = inspect.signature(node.validate_inputs).parameters
    verdict = node.validate_inputs(**{name: value for name, value in inputs.items() if name in named})
    return verdict if isinstance(verdict, str) else None
