"""Running a UNet whose weights stay in main memory: a layer's come to the card while the one before computes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .unet import UNet

ALIGNMENT = 64  # bytes; every weight begins at a multiple of it


class Streamed:
    """A UNet's layers, packed in page-locked memory, one block of memory a layer.

    The module's weights become views of that memory, so nothing is held twice. While `on_card`, two buffers as large as
    the largest layer hold the one at work and the next; embeddings and the last convolution lie there whole. What was
    changed about the UNet since it was packed is packed anew.
    """

    def __init__(self, unet: UNet, device: torch.device | str) -> None:
        self.unet, self.device = unet, torch.device(device)
        self.packed: list[Packed] = []

    @contextmanager
    def on_card(self) -> Iterator[UNet]:
        """Yields the UNet, ready to run on the device. Its weights are back in main memory however the work ends."""
        stages = (*self.unet.input_blocks, self.unet.middle_block, *self.unet.output_blocks)
        layers = [layer for stage in stages for layer in stage]
        if [packed.layer for packed in self.packed] != layers or not all(packed.holds() for packed in self.packed):
            self.unet.to("cpu")
            self.packed = [Packed(layer, self.device.type == "cuda") for layer in layers]
        rest = [self.unet.time_embed, self.unet.label_emb, self.unet.out]
        belt = _Belt(self.packed, self.device)
        try:
            for module in rest:
                module.to(self.device)
            belt.start()
            yield self.unet
        finally:
            belt.stop()
            for module in rest:
                module.to("cpu")


class Packed:
    """A layer's weights one after the other in one block of memory, each a view of it."""

    def __init__(self, layer: nn.Module, page_locked: bool) -> None:
        self.layer, self.places = layer, list[tuple[nn.Parameter, int, int, Tensor]]()
        weights = [(p, p.data.clone()) for p in layer.parameters()]  # a clone lies densely
        size = sum(_aligned(weight.nbytes) for _, weight in weights)
        with torch.inference_mode(False):
            self.memory = torch.empty(size, dtype=torch.uint8, device="cpu", pin_memory=page_locked)
        at = 0
        for p, weight in weights:
            self.places.append((p, at, at + weight.nbytes, weight.to("meta")))
            at += _aligned(weight.nbytes)
        self.become_views_of(self.memory)
        for p, weight in weights:
            p.data.copy_(weight)

    def become_views_of(self, memory: Tensor) -> None:
        """Makes the layer's weights views of a memory that holds what this one's holds."""
        with torch.inference_mode(False):
            for p, begin, end, like in self.places:
                p.data = memory[begin:end].view(like.dtype).as_strided(like.shape, like.stride())

    def holds(self) -> bool:
        """Whether the layer's weights still are the views of this memory that it made them."""
        now = list(self.layer.parameters())
        return len(now) == len(self.places) and all(
            p is q
            and p.data_ptr() == self.memory.data_ptr() + begin
            and (p.dtype, p.shape, p.stride()) == (like.dtype, like.shape, like.stride())
            for q, (p, begin, _, like) in zip(now, self.places, strict=True)
        )


class _Belt:
    """Brings layer after layer, round and round: one at work in one buffer, the next on its way into the other."""

    def __init__(self, packed: list[Packed], device: torch.device) -> None:
        self.packed = packed
        size = max(len(each.memory) for each in packed)
        with torch.inference_mode(False):
            self.buffers = [torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2)]
        self.copying = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.hooks: list[Any] = []
        self.arrived: Any = None  # when the copy of the next layer is done
        self.slot = 0  # of the buffer that the next layer is copied into

    def start(self) -> None:
        self._bring(0)
        for index, each in enumerate(self.packed):
            self.hooks.append(each.layer.register_forward_pre_hook(lambda *_, index=index: self._begin(index)))
            # A layer that has worked is whole again in main memory: its buffer is soon another's.
            self.hooks.append(each.layer.register_forward_hook(lambda *_, each=each: each.become_views_of(each.memory)))

    def stop(self) -> None:
        for hook in self.hooks:
            hook.remove()
        if self.copying is not None:
            self.copying.synchronize()
        for each in self.packed:
            each.become_views_of(each.memory)

    def _begin(self, index: int) -> None:
        """A layer is about to work: its weights are waited for, and the next one's set off."""
        if self.arrived is not None:
            torch.cuda.current_stream().wait_event(self.arrived)
        self.packed[index].become_views_of(self.buffers[self.slot])
        self.slot = 1 - self.slot
        self._bring((index + 1) % len(self.packed))

    def _bring(self, index: int) -> None:
        """Copies a layer into the free buffer, once what has worked there so far is done."""
        memory, buffer = self.packed[index].memory, self.buffers[self.slot]
        if self.copying is None:
            buffer[: len(memory)].copy_(memory)
            return
        self.copying.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.copying):
            buffer[: len(memory)].copy_(memory, non_blocking=True)
            self.arrived = self.copying.record_event()


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
