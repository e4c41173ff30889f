"""What the networks look like, as data: one frozen dataclass per network.

The fields carry the names of diffusers' `config.json`, so that a folder's config is read by copying and
`pipe.unet.config` means what a diffusers user expects. A single-file checkpoint has no config: there it is read from
the weights' shapes. Per-level fields are always tuples, finest level first (block types: as diffusers orders them).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from .errors import shown

Shapes = Mapping[str, tuple[int, ...]]

HEAD_CHANNELS = 64  # sgm's num_head_channels: no file stores it, a config may override it
GROUPS = 32  # of every group norm
CLIP_HEAD_CHANNELS = 80  # ViT-H/14: 1280 channels in 16 heads
PER_LEVEL = (
    *("layers_per_block", "down_block_types", "up_block_types"),
    *("num_attention_heads", "transformer_layers_per_block", "cross_attention_dim"),
)
MOST = 1 << 16  # above these a number is damage, not a network
MOST_LEVELS, MOST_BLOCKS, MOST_TOKENS = 8, 512, 1 << 16  # SVD: 4, 35, 257
BOUNDS: dict[str, tuple[float, float]] = {  # of the numbers that are not from 1 to MOST
    **dict.fromkeys(("layers_per_block", "transformer_layers_per_block", "decoder_mid_layers"), (1, 32)),
    "num_hidden_layers": (1, 128),
    "num_frames": (1, 4096),
    "image_size": (1, 4096),
    "scaling_factor": (1e-3, 1e3),
    "layer_norm_eps": (1e-12, 0.1),
}
CHOICES = {  # of the texts
    "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
    "up_block_types": ("CrossAttnUpBlockSpatioTemporal", "UpBlockSpatioTemporal"),
    "hidden_act": ("gelu", "quick_gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"),
}
SCALAR_DIMS: dict[int, tuple[int, ...]] = {  # by their sum; SVD has three equal ones
    256: (256,),  # SV3D_u: augmentation strength
    1280: (256, 512, 512),  # SV3D_p: that, polar angle, azimuth
}


class _Config:
    """Reading and writing `config.json`: unknown keys are diffusers' own bookkeeping and are left out.

    ValueError on a value that no network has, of which the default tells the type.
    """

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value, default = getattr(self, field.name), field.default
            entries, kinds = (v if isinstance(v, tuple) else (v,) for v in (value, default))
            alike = isinstance(value, tuple) == isinstance(default, tuple)
            if not alike or not entries or not all(_plausible(field.name, entry, kinds[0]) for entry in entries):
                raise ValueError(f"{field.name} is {shown(value, 80)}")
        if len(getattr(self, "block_out_channels", ())) > MOST_LEVELS:
            raise ValueError(f"block_out_channels has more than {MOST_LEVELS} levels")

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known})

    def to_json(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}  # type: ignore[call-overload]


@dataclass(frozen=True)
class UNetConfig(_Config):
    """The spatio-temporal UNet. Defaults: SVD at full size, 1,524,623,082 parameters."""

    in_channels: int = 8  # 4 of the noisy latent, 4 of the picture's latent
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: tuple[int, ...] = (2, 2, 2, 2)
    down_block_types: tuple[str, ...] = ("CrossAttnDownBlockSpatioTemporal",) * 3 + ("DownBlockSpatioTemporal",)
    up_block_types: tuple[str, ...] = ("UpBlockSpatioTemporal",) + ("CrossAttnUpBlockSpatioTemporal",) * 3
    num_attention_heads: tuple[int, ...] = (5, 10, 20, 20)
    transformer_layers_per_block: tuple[int, ...] = (1, 1, 1, 1)
    cross_attention_dim: tuple[int, ...] = (1024, 1024, 1024, 1024)
    addition_time_embed_dim: tuple[int, ...] = (256, 256, 256)  # sinusoid size of each conditioning scalar
    projection_class_embeddings_input_dim: int = 768  # the sinusoids side by side
    num_frames: int | None = None  # None: the file does not say (14 for SVD, 25 for SVD-XT)
    sample_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = len(self.block_out_channels)
        if wrong := [name for name in PER_LEVEL if len(getattr(self, name)) != levels]:
            raise ValueError(f"{wrong[0]} has not one entry for each of the {levels} levels")
        if any(c % heads for c, heads in zip(self.block_out_channels, self.num_attention_heads, strict=True)):
            raise ValueError(f"num_attention_heads {self.num_attention_heads} do not divide {self.block_out_channels}")
        if self._blocks() > MOST_BLOCKS:
            raise ValueError(f"layers_per_block and transformer_layers_per_block make {self._blocks():,} blocks")

    def _blocks(self) -> int:
        """Residual and transformer blocks on the way down and up."""
        levels = zip(self.layers_per_block, self.transformer_layers_per_block, strict=True)
        return sum(
            layers * (1 + down * depth) + (layers + 1) * (1 + up * depth)
            for (layers, depth), down, up in zip(levels, self.down_attention, self.up_attention, strict=True)
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Numbers that configs may write once for all levels, or for all scalars, are repeated."""
        values = {"layers_per_block": 2, "transformer_layers_per_block": 1, "cross_attention_dim": 1024, **values}
        channels = values.get("block_out_channels", cls.block_out_channels)
        levels = len(channels) if isinstance(channels, list | tuple) else 1
        for name in PER_LEVEL:
            if isinstance(values.get(name), int):
                values[name] = [values[name]] * levels
        if isinstance(dim := values.get("addition_time_embed_dim"), int) and dim > 0:
            total = values.get("projection_class_embeddings_input_dim", cls.projection_class_embeddings_input_dim)
            plausible = _plausible("projection_class_embeddings_input_dim", total, 0)
            values["addition_time_embed_dim"] = [dim] * (total // dim if plausible else 1)
        return super().from_json(values)

    @property
    def least_cells(self) -> int:
        """Cells that the longer side of a latent needs: where a level is one cell, GROUPS channels have no norm."""
        return max((2**level + 1 for level in _narrow_levels(self.block_out_channels)), default=1)

    @property
    def down_attention(self) -> tuple[bool, ...]:
        """Which levels have transformers on the way down, finest first."""
        return tuple(name.startswith("CrossAttn") for name in self.down_block_types)

    @property
    def up_attention(self) -> tuple[bool, ...]:
        """Which levels have transformers on the way up, finest first (`up_block_types` is coarsest first)."""
        return tuple(name.startswith("CrossAttn") for name in reversed(self.up_block_types))

    def to_json(self) -> dict[str, Any]:
        values = super().to_json()
        dims = values["addition_time_embed_dim"]
        values["addition_time_embed_dim"] = dims[0] if len(set(dims)) == 1 else dims  # diffusers takes one number
        return values

    @classmethod
    def from_shapes(cls, shapes: Shapes) -> Self:
        """Reads the config off a single file's UNet weights, named without their `model.diffusion_model.` prefix."""
        channels, layers, down, depth, context = [0], [0], [False], [1], [1024]
        for i in range(1, _count(shapes, r"input_blocks\.(\d+)\.")):
            if f"input_blocks.{i}.0.op.weight" in shapes:
                for per_level in (channels, layers):
                    per_level.append(0)
                down.append(False)
                depth.append(1)
                context.append(context[-1])
                continue
            channels[-1] = shapes[f"input_blocks.{i}.0.out_layers.3.weight"][0]
            layers[-1] += 1
            if f"input_blocks.{i}.1.norm.weight" in shapes:
                down[-1] = True
                depth[-1] = _count(shapes, rf"input_blocks\.{i}\.1\.transformer_blocks\.(\d+)\.")
                context[-1] = shapes[f"input_blocks.{i}.1.transformer_blocks.0.attn2.to_k.weight"][1]
        depth[-1] = _count(shapes, r"middle_block\.1\.transformer_blocks\.(\d+)\.")
        context[-1] = shapes["middle_block.1.transformer_blocks.0.attn2.to_k.weight"][1]
        up, block = [], 0
        for level in reversed(range(len(channels))):
            up.append(f"output_blocks.{block}.1.norm.weight" in shapes)
            if up[-1]:
                depth[level] = _count(shapes, rf"output_blocks\.{block}\.1\.transformer_blocks\.(\d+)\.")
                context[level] = shapes[f"output_blocks.{block}.1.transformer_blocks.0.attn2.to_k.weight"][1]
            block += layers[level] + 1
        vector = shapes["label_emb.0.0.weight"][1]
        return cls(
            in_channels=shapes["input_blocks.0.0.weight"][1],
            out_channels=shapes["out.2.weight"][0],
            block_out_channels=tuple(channels),
            layers_per_block=tuple(layers),
            down_block_types=tuple(f"{'CrossAttn' * a}DownBlockSpatioTemporal" for a in down),
            up_block_types=tuple(f"{'CrossAttn' * a}UpBlockSpatioTemporal" for a in up),
            num_attention_heads=tuple(max(c // HEAD_CHANNELS, 1) for c in channels),
            transformer_layers_per_block=tuple(depth),
            cross_attention_dim=tuple(context),
            addition_time_embed_dim=SCALAR_DIMS.get(vector, (vector // 3,) * 3),
            projection_class_embeddings_input_dim=vector,
        )


@dataclass(frozen=True)
class VAEConfig(_Config):
    """The autoencoder: picture encoder, and a temporal (or, in `*_image_decoder` files, plain) decoder."""

    in_channels: int = 3
    out_channels: int = 3
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    latent_channels: int = 4
    scaling_factor: float = 0.18215
    force_upcast: bool = True
    sample_size: int | None = None
    temporal_decoder: bool = True
    quant_conv: bool = True  # after the encoder
    post_quant_conv: bool = False  # before the decoder
    decoder_mid_layers: int = 2  # diffusers ties it to layers_per_block, sgm always has two

    @property
    def downscale(self) -> int:
        """Pixels per latent cell along one side: 8 at full size."""
        return 2 ** (len(self.block_out_channels) - 1)

    @property
    def least_cells(self) -> int:
        """Cells that the longer side of a latent needs, for the same reason: of these the coarsest level has one."""
        return 2 if len(self.block_out_channels) - 1 in _narrow_levels(self.block_out_channels) else 1

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        return super().from_json({"decoder_mid_layers": values.get("layers_per_block", 1), **values})

    @classmethod
    def from_shapes(cls, shapes: Shapes) -> Self:
        """Reads the config off VAE weights named `encoder.*`, `decoder.*`, `quant_conv.*`, `post_quant_conv.*`."""
        levels = _count(shapes, r"decoder\.up\.(\d+)\.")
        return cls(
            in_channels=shapes["encoder.conv_in.weight"][1],
            out_channels=shapes["decoder.conv_out.weight"][0],
            block_out_channels=tuple(shapes[f"decoder.up.{i}.block.0.conv1.weight"][0] for i in range(levels)),
            layers_per_block=_count(shapes, r"decoder\.up\.0\.block\.(\d+)\.") - 1,
            latent_channels=shapes["decoder.conv_in.weight"][1],
            temporal_decoder="decoder.mid.block_1.mix_factor" in shapes,
            quant_conv="quant_conv.weight" in shapes,
            post_quant_conv="post_quant_conv.weight" in shapes,
            decoder_mid_layers=_count(shapes, r"decoder\.mid\.block_(\d+)\.") - 1,
        )


@dataclass(frozen=True)
class CLIPConfig(_Config):
    """The CLIP image encoder, in the words of transformers' `CLIPVisionConfig`. Defaults: ViT-H/14."""

    hidden_size: int = 1280
    intermediate_size: int = 5120
    num_hidden_layers: int = 32
    num_attention_heads: int = 16
    image_size: int = 224
    patch_size: int = 14
    projection_dim: int = 1024
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"num_attention_heads {self.num_attention_heads} do not divide {self.hidden_size}")
        if not 0 < self.patches < MOST_TOKENS:
            sizes = f"image_size {self.image_size} and patch_size {self.patch_size}"
            raise ValueError(f"{sizes} make {self.patches:,} patches")

    @property
    def patches(self) -> int:
        """Squares that a picture is cut into, each a token."""
        return (self.image_size // self.patch_size) ** 2

    @classmethod
    def from_shapes(cls, shapes: Shapes) -> Self:
        """Reads the config off CLIP weights in transformers' names."""
        hidden, _, patch, _ = shapes["vision_model.embeddings.patch_embedding.weight"]
        tokens = shapes["vision_model.embeddings.position_embedding.weight"][0] - 1
        return cls(
            hidden_size=hidden,
            intermediate_size=shapes["vision_model.encoder.layers.0.mlp.fc1.weight"][0],
            num_hidden_layers=_count(shapes, r"vision_model\.encoder\.layers\.(\d+)\."),
            num_attention_heads=max(hidden // CLIP_HEAD_CHANNELS, 1),
            image_size=round(max(tokens, 0) ** 0.5) * patch,
            patch_size=patch,
            projection_dim=shapes["visual_projection.weight"][0],
        )


def _plausible(name: str, value: object, default: object) -> bool:
    """Whether a value is of its field's kind, of which the default tells, and within what can be built."""
    if isinstance(default, str):
        return value in CHOICES[name]
    if isinstance(value, bool) or isinstance(default, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if value is None:
        return default is None
    low, high = BOUNDS.get(name, (1, MOST))
    return isinstance(value, int | float if isinstance(default, float) else int) and low <= value <= high


def _narrow_levels(channels: tuple[int, ...]) -> list[int]:
    """Levels with a norm over GROUPS channels. A level's first norm has the channels of the level before."""
    return [i for i in range(len(channels)) if GROUPS in channels[max(i - 1, 0) : i + 1]]


def _count(shapes: Shapes, pattern: str) -> int:
    """One more than the highest number that the pattern's group takes at the start of a name."""
    return 1 + max((int(found[1]) for name in shapes if (found := re.match(pattern, name))), default=-1)
