"""Where every weight lies in a file: single-file names and diffusers' names, for any config.

A table maps dotted prefixes of one naming to prefixes of the other; the longest one that matches is replaced and the
rest of the name is kept. Our UNet and VAE carry single-file names, our CLIP is transformers' module, so a table is
needed only for UNet and VAE in a diffusers folder and for CLIP in a single file. Every table is a bijection, but for
CLIP's q, k and v, which share one tensor there.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .config import CLIPConfig, UNetConfig, VAEConfig

Layout = Literal["single", "diffusers"]
Table = dict[str, str]

RESNET = {  # sgm's ResBlock -> diffusers' ResnetBlock2D and TemporalResnetBlock
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
}
MLP = {"0": "linear_1", "2": "linear_2"}
VAE_RESNET = {"norm1": "norm1", "conv1": "conv1", "norm2": "norm2", "conv2": "conv2", "nin_shortcut": "conv_shortcut"}
VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
CLIP_LAYER = {  # transformers -> open_clip, inside one layer
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
CLIP_ENDS = {
    "vision_model.embeddings.class_embedding": "class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.pre_layrnorm.weight": "ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "ln_pre.bias",
    "vision_model.post_layernorm.weight": "ln_post.weight",
    "vision_model.post_layernorm.bias": "ln_post.bias",
    "visual_projection.weight": "proj",
}


def rename(table: Mapping[str, str], name: str) -> str:
    """Replaces the longest dotted prefix of `name` that the table knows; a name it does not know stays as it is."""
    head = name
    while head not in table:
        head, dot, _ = head.rpartition(".")
        if not dot:
            return name
    return table[head] + name[len(head) :]


def inverse(table: Mapping[str, str]) -> Table:
    """The same table, read from right to left."""
    return {theirs: ours for ours, theirs in table.items()}


def unet_table(config: UNetConfig) -> Table:
    """UNet: single-file prefixes (after `model.diffusion_model.`) to diffusers'."""
    table = {"input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out"}
    table |= _inside("time_embed", "time_embedding", MLP) | _inside("label_emb.0", "add_embedding", MLP)
    for ours, theirs in _unet_blocks(config):
        table |= _unet_block(ours, theirs)
    return table


def _unet_blocks(config: UNetConfig) -> Iterator[tuple[str, str]]:
    """Walks the UNet as it is built and yields every block's prefix in both namings."""
    levels = len(config.block_out_channels)
    layers = config.layers_per_block
    block = 1
    for level in range(levels):
        for layer in range(layers[level]):
            yield f"input_blocks.{block}.0", f"down_blocks.{level}.resnets.{layer}"
            if config.down_attention[level]:
                yield f"input_blocks.{block}.1", f"down_blocks.{level}.attentions.{layer}"
            block += 1
        if level < levels - 1:
            yield f"input_blocks.{block}.0.op", f"down_blocks.{level}.downsamplers.0.conv"
            block += 1
    yield "middle_block.0", "mid_block.resnets.0"
    yield "middle_block.1", "mid_block.attentions.0"
    yield "middle_block.2", "mid_block.resnets.1"
    block = 0
    for up, level in enumerate(reversed(range(levels))):
        attention = config.up_attention[level]
        for layer in range(layers[level] + 1):
            yield f"output_blocks.{block}.0", f"up_blocks.{up}.resnets.{layer}"
            if attention:
                yield f"output_blocks.{block}.1", f"up_blocks.{up}.attentions.{layer}"
            block += 1
        if level > 0:  # the upsampler follows the last layer's modules
            yield f"output_blocks.{block - 1}.{1 + attention}.conv", f"up_blocks.{up}.upsamplers.0.conv"


def _unet_block(ours: str, theirs: str) -> Table:
    """The prefixes inside one UNet block."""
    if ".resnets." in theirs:
        spatial, temporal = f"{theirs}.spatial_res_block", f"{theirs}.temporal_res_block"
        resnet = _inside(ours, spatial, RESNET) | _inside(f"{ours}.time_stack", temporal, RESNET)
        return resnet | {
            f"{ours}.skip_connection": f"{spatial}.conv_shortcut",
            f"{ours}.time_mixer": f"{theirs}.time_mixer",
        }
    if ".attentions." in theirs:
        inner = {ours: theirs, f"{ours}.time_stack": f"{theirs}.temporal_transformer_blocks"}
        return inner | _inside(f"{ours}.time_pos_embed", f"{theirs}.time_pos_embed", MLP)
    return {ours: theirs}


def vae_table(config: VAEConfig) -> Table:
    """VAE: our names (`encoder.`, `decoder.`, sgm's leaves) to diffusers'."""
    table = {"encoder.norm_out": "encoder.conv_norm_out", "decoder.norm_out": "decoder.conv_norm_out"}
    table["decoder.conv_out.time_mix_conv"] = "decoder.time_conv_out"
    for half, mid_layers in (("encoder", 2), ("decoder", config.decoder_mid_layers)):
        table |= _inside(f"{half}.mid.attn_1", f"{half}.mid_block.attentions.0", VAE_ATTENTION)
        temporal = half == "decoder" and config.temporal_decoder
        for layer in range(mid_layers):
            table |= _vae_resnet(f"{half}.mid.block_{layer + 1}", f"{half}.mid_block.resnets.{layer}", temporal)
    last = len(config.block_out_channels) - 1
    for level in range(last + 1):
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{last - level}"
        for layer in range(config.layers_per_block):
            table |= _vae_resnet(f"encoder.down.{level}.block.{layer}", f"{down}.resnets.{layer}", False)
        for layer in range(config.layers_per_block + 1):
            table |= _vae_resnet(f"decoder.up.{level}.block.{layer}", f"{up}.resnets.{layer}", config.temporal_decoder)
        table[f"encoder.down.{level}.downsample"] = f"{down}.downsamplers.0"
        table[f"decoder.up.{level}.upsample"] = f"{up}.upsamplers.0"
    return table


def _vae_resnet(ours: str, theirs: str, temporal: bool) -> Table:
    """The prefixes inside one residual block of the VAE."""
    if not temporal:
        return _inside(ours, theirs, VAE_RESNET)
    spatial = _inside(ours, f"{theirs}.spatial_res_block", VAE_RESNET)
    time = _inside(f"{ours}.time_stack", f"{theirs}.temporal_res_block", RESNET)
    return spatial | time | {f"{ours}.mix_factor": f"{theirs}.time_mixer.mix_factor"}


def clip_table(layers: int) -> Table:
    """CLIP: transformers' whole names to open_clip's (after `.visual.`). q, k and v are thirds of one tensor there."""
    table = dict(CLIP_ENDS)
    for n in range(layers):
        ours, theirs = f"vision_model.encoder.layers.{n}", f"transformer.resblocks.{n}"
        for leaf in ("weight", "bias"):
            table |= {f"{ours}.{a}.{leaf}": f"{theirs}.{b}.{leaf}" for a, b in CLIP_LAYER.items()}
            table |= {f"{ours}.self_attn.{p}_proj.{leaf}": f"{theirs}.attn.in_proj_{leaf}" for p in "qkv"}
    return table


def _inside(ours: str, theirs: str, leaves: Mapping[str, str]) -> Table:
    return {f"{ours}.{a}": f"{theirs}.{b}" for a, b in leaves.items()}


@dataclass(frozen=True)
class Source:
    """Where one tensor of ours lies in a file. `shape` is the whole file tensor's."""

    key: str
    shape: tuple[int, ...]
    third: int | None = None  # of the rows: 0 is q, 1 is k, 2 is v
    transposed: bool = False


@dataclass(frozen=True)
class Naming:
    """How a file names one network's tensors: `prefix` + `table` applied to our name."""

    layout: Layout
    prefix: str = ""
    table: Mapping[str, str] = field(default_factory=dict)

    def source(self, name: str, shape: tuple[int, ...]) -> Source:
        """Where our tensor `name` of this shape lies."""
        key = self.prefix + rename(self.table, name)
        qkv = re.search(r"\.self_attn\.([qkv])_proj\.", name)
        if qkv and ".attn.in_proj_" in key:
            return Source(key, (3 * shape[0], *shape[1:]), third="qkv".index(qkv[1]))
        if name == "visual_projection.weight" and key.endswith("proj"):
            return Source(key, shape[::-1], transposed=True)
        return Source(key, self._file_shape(name, shape))

    def _file_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Files keep Conv3d kernels (o i 3 1 1) where we have (o i 3 1). The VAE's attention is made of 1x1
        convolutions in single files and of linear layers in folders.
        """
        if len(shape) == 4 and shape[3] == 1 and shape[2] != 1:
            return (*shape, 1)
        if re.search(r"\.mid\.attn_1\.(q|k|v|proj_out)\.weight$", name):
            return (*shape[:2], 1, 1) if self.layout == "single" else shape[:2]
        return shape


def clip_config(shapes: Mapping[str, tuple[int, ...]]) -> CLIPConfig:
    """Reads CLIP's config off open_clip shapes (named after `.visual.`)."""
    layers = len({name.split(".")[2] for name in shapes if name.startswith("transformer.resblocks.")})
    ours = {a: shapes[b] for a, b in clip_table(layers).items() if b in shapes and "in_proj" not in b}
    ours["visual_projection.weight"] = shapes["proj"][::-1]
    return CLIPConfig.from_shapes(ours)
