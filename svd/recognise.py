"""What a file that is not an SVD checkpoint looks like, told by its tensors' names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

WHOLE = "use a whole checkpoint such as svd_xt.safetensors or a diffusers folder"
FOLDER = "give the folder that holds model_index.json"
COPY = (
    "copy its weights over unet/diffusion_pytorch_model.safetensors of a whole diffusers folder, and give that folder"
)
TRAINED_UNET = "a trained UNet alone, without its VAE and CLIP"
# What training programs put into a module's name: DistributedDataParallel, torch.compile, FSDP.
WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod|_fsdp_wrapped_module)\.")
OWNER = "unet."  # and what holds several networks puts before all names of the one that is trained
MOST_NAMES, MOST_LETTERS = 1 << 13, 192  # as many as are looked at


@dataclass(frozen=True)
class Kind:
    """`pattern` is searched in every name; the first kind that matches is the answer.

    No pattern may have two open ends: a damaged file has names on which that takes for ever.
    """

    pattern: str
    name: str
    advice: str = WHOLE


KINDS = (
    Kind(r"^(?=.*motion_modules)(?=.*lora)", "an AnimateDiff motion LoRA", "it does not work with SVD: " + WHOLE),
    Kind(r"motion_modules\.", "an AnimateDiff motion module"),
    Kind(
        r"\blora_(A|B|up|down)\b|\blora\.(up|down)\b|_lora\.(up|down)\b|^lora_", "a LoRA", "it holds no model: " + WHOLE
    ),
    Kind(r"controlnet_(down_blocks|cond_embedding|mid_block)\.|^control_model\.|input_hint_block\.", "a ControlNet"),
    Kind(r"ip_adapter\.|^image_proj\.", "an IP-Adapter"),
    Kind(r"(^|\.)down_blocks\.\d+\.resnets\.\d+\.spatial_res_block\.", TRAINED_UNET, COPY),
    Kind(r"^decoder\.time_conv_out\.", "the VAE of an SVD diffusers folder, alone", FOLDER),
    Kind(r"(^|\.)input_blocks\.\d+\.\d+\.time_stack\.", TRAINED_UNET, COPY),
    Kind(r"temopral_conv|\.init_attn\.", "a VideoCrafter, DynamiCrafter or ModelScope video model"),
    Kind(r"joint_blocks\.", "Stable Diffusion 3"),
    Kind(r"double_blocks\.\d+\.(img_attn|img_mod)", "a Flux or HunyuanVideo model"),
    Kind(r"(^|\.)blocks\.\d+\.(self_attn\.norm_q|cross_attn\.k_img|ffn\.0)\.", "a Wan video model"),
    Kind(r"patchify_proj\.", "an LTX-Video model"),
    Kind(
        r"^(model\.diffusion_model\.|transformer\.)?transformer_blocks\.\d+\.",
        "a diffusion transformer (Flux, CogVideoX, PixArt or the like)",
    ),
    Kind(r"^conditioner\.embedders\.1\.model\.transformer\.|^conditioner\.embedders\.0\.transformer\.", "SDXL"),
    Kind(r"^cond_stage_model\.model\.", "Stable Diffusion 2"),
    Kind(r"^cond_stage_model\.transformer\.", "Stable Diffusion 1.5"),
    Kind(r"^model\.diffusion_model\.", "another kind of Stable Diffusion model"),
    Kind(r"^input_blocks\.|^down_blocks\.", "the UNet of another Stable Diffusion model"),
    Kind(r"^vision_model\.|^visual\.|open_clip\.model\.visual\.", "a CLIP image encoder alone"),
    Kind(r"text_model\.encoder\.|^encoder\.block\.\d+\.layer\.", "a text encoder"),
    Kind(r"^(first_stage_model\.)?(encoder|decoder)\.(conv_in|mid|mid_block|down|up)\b", "a VAE alone"),
    Kind(r"string_to_param|emb_params", "a textual-inversion embedding"),
)
UNKNOWN = Kind("", "no kind of model known here")


def kind_of(names: Iterable[str]) -> Kind:
    """What a file with tensors of these names looks like."""
    text = "\n".join(name[:MOST_LETTERS] for name in islice(names, MOST_NAMES))
    return next((kind for kind in KINDS if re.search(kind.pattern, text, re.MULTILINE)), UNKNOWN)


def unwrapped(named: dict[str, T]) -> tuple[dict[str, T], str]:
    """Tensors under the names they had before a training program wrapped the network, and what it put before them.

    As they are, and "", where nothing was or where two would have the same name.
    """
    bare = {name: WRAPPERS.sub("", name) for name in named}
    if bare and all(name.startswith(OWNER) for name in bare.values()):
        bare = {name: inner.removeprefix(OWNER) for name, inner in bare.items()}
    if len(set(bare.values())) < len(bare):
        return named, ""
    return {bare[name]: value for name, value in named.items()}, _difference(bare)


def _difference(bare: dict[str, str]) -> str:
    """The longest piece that a name lost at once: "module.", "unet.module."."""
    changed = ((name, inner) for name, inner in bare.items() if name != inner)
    name, inner = next(changed, ("", ""))
    if name.endswith(inner):
        return name.removesuffix(inner)
    return "".join(WRAPPERS.findall(name)[:1])
