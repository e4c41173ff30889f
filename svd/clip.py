"""The CLIP image encoder, ViT-H/14 at full size, through transformers; imported when used."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .config import CLIPConfig
from .image import squash

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def build_clip(config: CLIPConfig) -> "CLIPVisionModelWithProjection":
    """The encoder without weights, on the meta device, in evaluation mode."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        clip = CLIPVisionModelWithProjection(CLIPVisionConfig(**config.to_json()))
    # The one buffer that no checkpoint holds, so nothing would ever move it off the meta device.
    embeddings = clip.vision_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions, device="cpu")[None]
    return clip.eval()


def clip_shapes(config: CLIPConfig) -> dict[str, tuple[int, ...]]:
    """Every weight of the encoder that `build_clip` builds, without the seconds that importing transformers takes."""
    c, mlp, tokens = config.hidden_size, config.intermediate_size, config.patches + 1
    linear = {f"self_attn.{name}_proj": (c, c) for name in "kvq"}
    linear |= {"self_attn.out_proj": (c, c), "mlp.fc1": (mlp, c), "mlp.fc2": (c, mlp)}
    layer: dict[str, tuple[int, ...]] = {f"{name}.weight": shape for name, shape in linear.items()}
    layer |= {f"{name}.bias": shape[:1] for name, shape in linear.items()}
    norm: dict[str, tuple[int, ...]] = {"weight": (c,), "bias": (c,)}
    layer |= {f"layer_norm{i}.{name}": shape for i in (1, 2) for name, shape in norm.items()}
    shapes: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.class_embedding": (c,),
        "vision_model.embeddings.patch_embedding.weight": (c, 3, config.patch_size, config.patch_size),
        "vision_model.embeddings.position_embedding.weight": (tokens, c),
        "visual_projection.weight": (config.projection_dim, c),
    }
    for i in range(config.num_hidden_layers):
        shapes |= {f"vision_model.encoder.layers.{i}.{name}": shape for name, shape in layer.items()}
    for place in ("pre_layrnorm", "post_layernorm"):  # sic, both
        shapes |= {f"vision_model.{place}.{name}": shape for name, shape in norm.items()}
    return shapes


def clip_pixels(image: Tensor, size: int = 224, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Tensor:
    """What CLIP looks at: the whole picture squashed to a square and normalised. (b 3 h w) in 0..1 -> (b 3 size size)

    Not cropped: the model was trained on squashed pictures, and a centre crop tells it of another picture.
    """
    shift, scale = image.new_tensor(mean), image.new_tensor(std)
    return (squash(image, size) - shift[:, None, None]) / scale[:, None, None]
