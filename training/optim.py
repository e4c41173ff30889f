"""The optimiser, the learning rate's course and the average of the weights.

Muon (Jordan et al. 2024; scaled as in arXiv:2502.16982): the momentum of every weight matrix, a convolution's seen as
(out, in x kernel), is replaced by the nearest orthogonal matrix. Everything else is left to AdamW. Learning rates are
tensors, so that a recorded step (see loop.Recorded) reads their present value.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ADAM_NAMES = ("conv_in.", "input_blocks.0.", "conv_out.", "out.2.", "embedding")  # see pictures or latents directly


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """n rows columns -> the nearest (semi-)orthogonal matrices, roughly, by a quintic iteration in bf16."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    flip = x.shape[-2] > x.shape[-1]
    x = x.mT if flip else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if flip else x


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised; updates have the root mean square that Adam's have at the same learning rate."""

    def __init__(self, params: Iterable[nn.Parameter], lr: Tensor, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            params, lr = group["params"], group["lr"]
            gradients = [p.grad for p in params]
            averages = [self._average(p) for p in params]
            torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
            nesterov = torch._foreach_lerp(gradients, averages, group["momentum"])
            torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
            by_shape: dict[tuple[int, int], list[int]] = {}
            for i, p in enumerate(params):
                by_shape.setdefault((p.shape[0], p[0].numel()), []).append(i)
            for (rows, columns), members in by_shape.items():
                matrices = torch.stack([nesterov[i].reshape(rows, columns) for i in members])
                updates = orthogonalise(matrices) * (-0.2 * max(rows, columns) ** 0.5 * lr)
                same = [params[i] for i in members]
                torch._foreach_add_(same, [u.view(p.shape) for u, p in zip(updates.unbind(), same, strict=True)])

    def _average(self, p: Tensor) -> Tensor:
        state = self.state[p]
        if "average" not in state:
            state["average"] = torch.zeros_like(p)
        return state["average"]


def optimisers(names: Sequence[str], params: Sequence[nn.Parameter], lr: float) -> list[torch.optim.Optimizer]:
    """Muon at twice the rate for the weight matrices inside, AdamW for all else. Rates are tensors on the device."""
    inside = [not any(part in name for part in ADAM_NAMES) for name in names]
    matrices = [p for p, inner in zip(params, inside, strict=True) if p.ndim >= 2 and inner]
    others = [p for p, inner in zip(params, inside, strict=True) if p.ndim < 2 or not inner]
    cuda = params[0].is_cuda
    slow, fast = (torch.tensor(value, device=params[0].device) for value in (lr, 2 * lr))
    adam = torch.optim.AdamW(others, slow, betas=(0.9, 0.98), weight_decay=0.0, fused=True, capturable=cuda)
    return [Muon(matrices, fast), adam]


def rate(step: int, share: float, warm_up: int = 100, decay: float = 0.5) -> float:
    """Part of the full learning rate: a short rise, a plateau, and a straight fall over the last `decay` of all.

    share: how much of the training is over, 0..1.
    """
    return min((step + 1) / warm_up, 1.0, max((1 - share) / decay, 0.0))


class Average:
    """Exponential moving average of weights; its horizon grows to 1 / (1 - decay) steps."""

    def __init__(self, params: Sequence[Tensor], decay: float = 0.998) -> None:
        self.params, self.decay = list(params), decay
        self.values = [p.detach().clone() for p in params]
        self.weight = torch.tensor(1.0, device=params[0].device)

    def at(self, step: int) -> None:
        """Sets the weight of the next update."""
        self.weight.fill_(max(1 - self.decay, 9 / (9 + step)))

    @torch.no_grad()
    def update(self) -> None:
        step = torch._foreach_sub(self.params, self.values)
        torch._foreach_mul_(step, self.weight)
        torch._foreach_add_(self.values, step)
