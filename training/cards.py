"""Several cards of one host that train one network together: a process a card, as torchrun starts them.

Every card computes the gradients of its own clips; their mean moves the same weights everywhere. Whatever decides the
course, the clock above all, is the first card's and is told to all, so that all take the same steps.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True)
class Cards:
    """This process's card among `count`. One card alone, or a processor, needs no torchrun: nothing is exchanged."""

    device: torch.device
    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, kind: str) -> "Cards":
        """The cards that torchrun started processes for; kind: `cuda` or `cpu`, or any device for a process alone."""
        count, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
        if count == 1:
            return cls(torch.device(kind))
        patience = timedelta(minutes=20)  # compiling takes minutes, and not equally long everywhere
        if kind != "cuda":
            dist.init_process_group("gloo", timeout=patience)
            return cls(torch.device(kind), rank, count)
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank)))
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=patience, device_id=device)
        return cls(device, rank, count)

    def leave(self) -> None:
        """Waits for the others and ends the exchange."""
        if self.count > 1:
            dist.barrier()
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this one writes the files and tells the time."""
        return self.rank == 0

    def average(self, values: Tensor) -> None:
        """Puts the mean over all cards into each one's tensor."""
        if self.count == 1:
            return
        if values.is_cuda:
            dist.all_reduce(values, op=dist.ReduceOp.AVG)
        else:  # gloo has no mean
            dist.all_reduce(values)
            values /= self.count

    @torch.no_grad()
    def alike(self, tensors: Iterable[Tensor]) -> None:
        """Gives every card the first one's values."""
        if self.count > 1:
            for tensor in tensors:
                values = tensor.detach().contiguous()
                dist.broadcast(values, 0)
                tensor.copy_(values)

    def tell(self, numbers: Sequence[float]) -> list[float]:
        """The first card's numbers, on every card."""
        if self.count == 1:
            return list(numbers)
        told = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return [float(x) for x in told.tolist()]
