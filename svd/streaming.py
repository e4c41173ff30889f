"""Running a UNet whose weights stay in main memory: a layer's come to the card while the one before computes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .unet import UNet

ALIGNMENT = 64  # numbers; every weight begins at a multiple of it


class Streamed:
    """A UNet's layers, packed in page-locked memory, one block of memory a layer.

    The module's weights become views of that memory, so nothing is held twice. While `on_card`, two buffers as large as
    the largest layer hold the one at work and the next; embeddings and the last convolution lie there whole.
    """

    def __init__(self, unet: UNet, device: torch.device | str) -> None:
        self.unet, self.device = unet.to("cpu"), torch.device(device)
        stages = (*unet.input_blocks, unet.middle_block, *unet.output_blocks)
        self.layers = [layer for stage in stages for layer in stage]
        self.packed = [_pack(layer, self.device.type == "cuda") for layer in self.layers]

    @contextmanager
    def on_card(self) -> Iterator[UNet]:
        """Yields the UNet, ready to run on the device. Its weights are back in main memory however the work ends."""
        rest = [self.unet.time_embed, self.unet.label_emb, self.unet.out]
        size = max(len(memory) for memory in self.packed)
        buffers = [torch.empty(size, dtype=self.unet.dtype, device=self.device) for _ in range(2)]
        belt = _Belt(self.layers, self.packed, buffers)
        try:
            for module in rest:
                module.to(self.device)
            belt.start()
            yield self.unet
        finally:
            belt.stop()
            for module in rest:
                module.to("cpu")


class _Belt:
    """Brings layer after layer, round and round: one at work in one buffer, the next on its way into the other."""

    def __init__(self, layers: list[nn.Module], packed: list[Tensor], buffers: list[Tensor]) -> None:
        self.layers, self.packed, self.buffers = layers, packed, buffers
        self.copying = torch.cuda.Stream(buffers[0].device) if buffers[0].is_cuda else None
        self.hooks: list[Any] = []
        self.arrived: Any = None  # when the copy of the next layer is done
        self.slot = 0  # of the buffer that the next layer is copied into

    def start(self) -> None:
        self._bring(0)
        for index, layer in enumerate(self.layers):
            self.hooks.append(layer.register_forward_pre_hook(lambda *_, index=index: self._begin(index)))

    def stop(self) -> None:
        for hook in self.hooks:
            hook.remove()
        if self.copying is not None:
            self.copying.synchronize()
        for layer, memory in zip(self.layers, self.packed, strict=True):
            _view(layer, memory)

    def _begin(self, index: int) -> None:
        """A layer is about to work: its weights are waited for, and the next one's set off."""
        if self.arrived is not None:
            torch.cuda.current_stream().wait_event(self.arrived)
        _view(self.layers[index], self.buffers[self.slot])
        self.slot = 1 - self.slot
        self._bring((index + 1) % len(self.layers))

    def _bring(self, index: int) -> None:
        """Copies a layer into the free buffer, once what has worked there so far is done."""
        memory, buffer = self.packed[index], self.buffers[self.slot]
        if self.copying is None:
            buffer[: len(memory)].copy_(memory)
            return
        self.copying.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.copying):
            buffer[: len(memory)].copy_(memory, non_blocking=True)
            self.arrived = self.copying.record_event()


def _pack(layer: nn.Module, page_locked: bool) -> Tensor:
    """A layer's weights one after the other; they become views of it."""
    sizes = [_aligned(p.numel()) for p in layer.parameters()]
    memory = torch.empty(sum(sizes), dtype=next(layer.parameters()).dtype, pin_memory=page_locked)
    weights = [p.data for p in layer.parameters()]
    _view(layer, memory)
    for p, weight in zip(layer.parameters(), weights, strict=True):
        p.data.copy_(weight)
    return memory


def _view(layer: nn.Module, memory: Tensor) -> None:
    """Makes a layer's weights views of a packed memory, in their own layout."""
    at = 0
    for p in layer.parameters():
        p.data = memory.as_strided(p.shape, p.stride(), at)
        at += _aligned(p.numel())


def _aligned(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT
