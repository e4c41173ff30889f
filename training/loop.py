"""What all stages share: one optimiser step, the course of the loss, and a state to go on from.

Networks may compute in bf16; the weights that the optimiser moves, the masters, are fp32. On a card a step of each
shape of input is recorded once as CUDA graphs and then replayed: the networks are small, and launching their kernels
one by one takes longer than running them. There are two, the gradients and their use; between them several cards
exchange the gradients, which lie in one buffer. A state is a folder of safetensors files of at most 15 MiB each.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .cards import Cards
from .optim import Average, optimisers, rate

PIECE = 15 * 2**20  # bytes
EVERY = 20  # steps between two entries of the recorded loss; then, too, all cards look at the first one's clock
ALIKE = 500  # steps after which all cards take the first one's weights, whatever rounding did

Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class Limit:
    """When a training is over: after so many steps, so many seconds, or at a Unix time, whatever comes first."""

    steps: int
    seconds: float = math.inf
    until: float = math.inf

    def passed(self, seconds: float) -> float:
        """How much of the time is over, 0..1, after so many seconds of training."""
        left = max(self.until - time.time(), 0.0)
        return min(max(seconds / self.seconds, seconds / max(seconds + left, 1e-9)), 1.0)


class Recorded:
    """A step as a CUDA graph, for inputs of one shape. Steps may share a memory pool: none leaves anything in it."""

    def __init__(self, step: Callable[..., None], inputs: Sequence[Tensor], pool: Any) -> None:
        self.inputs = [x.clone() for x in inputs]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # as CUDA graphs ask: compile, pick algorithms, make the optimiser's memory
            step(*self.inputs)
            step(*self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool):
            step(*self.inputs)

    def __call__(self, *inputs: Tensor) -> None:
        for kept, x in zip(self.inputs, inputs, strict=True):
            kept.copy_(x)
        self.graph.replay()


class Run:
    """Networks in training: `update` takes one step, `save` and `resume` stop and go on."""

    def __init__(self, modules: Sequence[nn.Module], lr: float, limit: Limit, cards: Cards | None = None) -> None:
        self.limit, self.step, self.seconds = limit, 0, 0.0
        named = [item for module in modules for item in module.named_parameters() if item[1].requires_grad]
        self.params = [p for _, p in named]
        self.cards = cards or Cards(self.params[0].device)
        self.masters = [nn.Parameter(p.detach().float().clone()) for p in self.params]
        self._become_alike()
        self.optimisers = optimisers([name for name, _ in named], self.masters, lr)
        self.groups = [group for optimiser in self.optimisers for group in optimiser.param_groups]
        self.full_rates = [float(group["lr"]) for group in self.groups]
        self.average = Average(self.masters)
        self.losses: list[tuple[int, float]] = []
        self._gradients = torch.zeros(sum(m.numel() for m in self.masters), device=self.params[0].device)
        self._gradient_of = _views(self._gradients, self.masters)
        self._sum = torch.zeros((), device=self.params[0].device)
        self._passed = 0.0
        self._then: float | None = None
        self._recorded: dict[tuple[Callable[..., Any], tuple[torch.Size, ...]], Recorded] = {}
        self._pools = self._new_pools()

    @property
    def share(self) -> float:
        """How much of the training is over, 0..1: the same on all cards."""
        return min(max(self.step / self.limit.steps, self._passed), 1.0)

    def update(self, loss: Loss, *inputs: Tensor, record: bool = True) -> None:
        """One step on loss(*inputs). With record, on a card, its gradients are replayed from a recording."""
        for group, full in zip(self.groups, self.full_rates, strict=True):
            group["lr"].fill_(full * rate(self.step, self.share))
        self.average.at(self.step)

        def differentiate(*tensors: Tensor) -> None:
            self._differentiate(loss(*tensors))

        self._do(differentiate, loss, inputs, self._pools[0], record)
        self.cards.average(self._gradients)
        self._do(self._descend, self._descend, (), self._pools[1], record=True)
        self._count()

    def forget_recordings(self) -> None:
        """Gives their memory back."""
        self._recorded.clear()
        self._pools = self._new_pools()
        if self._sum.is_cuda:
            torch.cuda.empty_cache()

    def _new_pools(self) -> tuple[Any, Any]:
        """Memory for recordings: of gradients, of their use."""
        if not self._sum.is_cuda:
            return None, None
        return torch.cuda.graph_pool_handle(), torch.cuda.graph_pool_handle()

    def _do(
        self, action: Callable[..., None], name: Callable[..., Any], inputs: Sequence[Tensor], pool: Any, record: bool
    ) -> None:
        """The action, from its recording if there is to be one. The first time it is done while it is recorded."""
        key = (name, tuple(x.shape for x in inputs))
        if not record or not self._sum.is_cuda:
            action(*inputs)
        elif key in self._recorded:
            self._recorded[key](*inputs)
        else:
            self._recorded[key] = Recorded(action, inputs, pool)

    def _differentiate(self, loss: Tensor) -> None:
        gradients: Sequence[Tensor | None] = torch.autograd.grad(loss, self.params, allow_unused=True)
        for kept, gradient in zip(self._gradient_of, gradients, strict=True):
            if gradient is None:
                kept.zero_()
            else:
                kept.copy_(gradient)
        with torch.no_grad():
            self._sum += loss.detach()

    def _descend(self) -> None:
        for master, gradient in zip(self.masters, self._gradient_of, strict=True):
            master.grad = gradient
        nn.utils.clip_grad_norm_(self.masters, 1.0, foreach=True)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.update()
        with torch.no_grad():
            _copy(self.masters, self.params)

    def _count(self) -> None:
        self.step += 1
        self._then = self._then or time.monotonic()
        if self.step % EVERY == 0:
            self.cards.average(self._sum)
            self.losses.append((self.step, float(self._sum) / EVERY))
            self._sum.zero_()
            now = time.monotonic()
            seconds, self._then = self.seconds + now - self._then, now
            self.seconds, self._passed = self.cards.tell([seconds, self.limit.passed(seconds)])
        if self.step % ALIKE == 0:
            self._become_alike()

    @torch.no_grad()
    def _become_alike(self) -> None:
        self.cards.alike(self.masters)
        _copy(self.masters, self.params)

    @torch.no_grad()
    def use_average(self) -> None:
        """Puts the averaged weights into the networks: the end of a training."""
        _copy(self.average.values, self.params)

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Everything `resume` needs. In a half precision the optimisers' memory is left out: a quarter of the bytes."""
        tensors = {f"weight.{i}": p.detach() for i, p in enumerate(self.masters)}
        tensors |= {f"average.{i}": value for i, value in enumerate(self.average.values)}
        if dtype == torch.float32:
            for n, optimiser in enumerate(self.optimisers):
                for i, entries in optimiser.state_dict()["state"].items():
                    tensors |= {f"optimiser.{n}.{i}.{key}": value for key, value in entries.items()}
        folder.mkdir(parents=True, exist_ok=True)
        old, names = set(folder.glob("state-*.safetensors")), []
        for n, piece in enumerate(_pieces({k: v.to("cpu", dtype).contiguous() for k, v in tensors.items()})):
            names.append(f"state-{self.step:07}-{n:02}.safetensors")
            save_file(piece, folder / f"{names[-1]}.part")
            (folder / f"{names[-1]}.part").replace(folder / names[-1])
        told = {"step": self.step, "seconds": self.seconds, "losses": self.losses, "sum": float(self._sum)}
        (folder / "state.json.part").write_text(json.dumps(told | {"files": names}))
        (folder / "state.json.part").replace(folder / "state.json")  # from here on it is the new state
        for path in old - {folder / name for name in names}:
            path.unlink()

    @torch.no_grad()
    def resume(self, folder: Path) -> bool:
        """Goes on from a saved state, if there is one."""
        if not (folder / "state.json").is_file():
            return False
        tensors: dict[str, Tensor] = {}
        told = json.loads((folder / "state.json").read_text())
        for name in told.get("files") or sorted(path.name for path in folder.glob("state-*.safetensors")):
            tensors |= load_file(folder / name)
        for index, (p, master, value) in enumerate(zip(self.params, self.masters, self.average.values, strict=True)):
            master.copy_(tensors[f"weight.{index}"])
            p.copy_(master)
            value.copy_(tensors[f"average.{index}"])
        for n, optimiser in enumerate(self.optimisers):
            params = [p for group in optimiser.param_groups for p in group["params"]]
            states: dict[int, dict[str, Tensor]] = {}
            for name, tensor in tensors.items():
                if name.startswith(f"optimiser.{n}."):
                    _, _, i, key = name.split(".")
                    p = params[int(i)]  # fused kernels want its memory laid out as the weight's
                    value = torch.empty_like(p).copy_(tensor) if tensor.shape == p.shape else tensor
                    states.setdefault(int(i), {})[key] = value
            if states:
                optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        self.groups = [
            group for optimiser in self.optimisers for group in optimiser.param_groups
        ]  # loading renews them
        self._sum.fill_(told.get("sum", 0.0))
        self.step, self.seconds = told["step"], told["seconds"]
        (self._passed,) = self.cards.tell([self.limit.passed(self.seconds)])
        self.losses = [(step, loss) for step, loss in told["losses"]]
        return True


def _views(flat: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The flat buffer's pieces, each laid out as its tensor."""
    starts = accumulate((t.numel() for t in tensors), initial=0)
    return [flat.as_strided(t.shape, t.stride(), start) for t, start in zip(tensors, starts, strict=False)]


def _copy(source: Iterable[Tensor], target: Iterable[Tensor]) -> None:
    torch._foreach_copy_(list(target), list(source))


def compile_blocks(network: nn.Module, *kinds: type[nn.Module]) -> None:
    """Compiles a network block by block: blocks of one shape share their code, which takes a fraction of the time."""
    torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1000
    for module in network.modules():
        if isinstance(module, kinds):
            module.compile(dynamic=False)


def _pieces(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    pieces: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        size += tensor.nbytes
        if size > PIECE and pieces[-1]:
            pieces.append({})
            size = tensor.nbytes
        pieces[-1][name] = tensor
    return pieces
