"""The steps that memory traffic decides, each in plain torch and, where it pays, as a kernel of its own.

A function here takes the layer that owns the weights. It takes the fast path where `choice.fast` says that it can, and
otherwise calls the layer, which may be a host's that streams its weights.
"""

from .build import begin, build
from .feed_forward import add_feed_forward
from .geglu import geglu
from .group_norm import add_and_measure, added, concatenate_and_measure, group_norm
from .layer_norm import layer_norm, layer_norm_and_copy, of_frames
from .linear import add_linear, unbiased
from .mix import mix
from .spatial_attention import attend, spatial_attention
from .temporal_attention import temporal_attention
from .temporal_conv import temporal_conv, temporal_conv_onto
from .upsample_conv import upsample_conv
from .wide_attention import wide_attention

__all__ = [
    "add_and_measure",
    "add_feed_forward",
    "add_linear",
    "added",
    "attend",
    "begin",
    "build",
    "concatenate_and_measure",
    "geglu",
    "group_norm",
    "layer_norm",
    "layer_norm_and_copy",
    "mix",
    "of_frames",
    "spatial_attention",
    "temporal_attention",
    "temporal_conv",
    "temporal_conv_onto",
    "unbiased",
    "upsample_conv",
    "wide_attention",
]
