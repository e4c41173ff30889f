"""Layers that cast their weights when they work; Linear with dynamic VRAM has none before it is loaded."""

from torch import nn
from torch.nn import functional as F

from . import memory_management


class CastWeightBiasOp:
    comfy_cast_weights = True

    def cast(self, x):
        return [None if p is None else p.to(x) for p in (self.weight, self.bias)]


class Linear(CastWeightBiasOp, nn.Linear):
    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        if not self._is_lazy():
            super().__init__(in_features, out_features, bias, device, dtype)
            return
        nn.Module.__init__(self)
        self.in_features, self.out_features = in_features, out_features
        self.weight = self.bias = None

    @classmethod
    def _is_lazy(cls):
        return memory_management.aimdo_enabled and cls._load_from_state_dict is Linear._load_from_state_dict

    def _load_from_state_dict(self, state, prefix, meta, strict, missing, unexpected, errors):
        if not self._is_lazy():
            super()._load_from_state_dict(state, prefix, meta, strict, missing, unexpected, errors)
            return
        for name, tensor in state.items():
            if name in (prefix + "weight", prefix + "bias"):
                setattr(self, name[len(prefix) :], nn.Parameter(tensor, requires_grad=False))
            else:
                unexpected.append(name)
        if self.weight is None:
            missing.append(prefix + "weight")

    def forward(self, x):
        return F.linear(x, *self.cast(x))


class Conv2d(CastWeightBiasOp, nn.Conv2d):
    def forward(self, x):
        return self._conv_forward(x, *self.cast(x))


class GroupNorm(CastWeightBiasOp, nn.GroupNorm):
    def forward(self, x):
        return F.group_norm(x, self.num_groups, *self.cast(x), self.eps)


class LayerNorm(CastWeightBiasOp, nn.LayerNorm):
    def forward(self, x):
        return F.layer_norm(x, self.normalized_shape, *self.cast(x), self.eps)


class manual_cast:
    Linear, Conv2d, GroupNorm, LayerNorm = Linear, Conv2d, GroupNorm, LayerNorm
