"""What a file that is not an SVD checkpoint looks like, told by its tensors' names."""

import re
from collections.abc import Collection
from dataclasses import dataclass

WHOLE = "use a whole checkpoint such as svd_xt.safetensors or a diffusers folder"
FOLDER = "give the folder that holds model_index.json"


@dataclass(frozen=True)
class Kind:
    """`pattern` is searched in every name; the first kind that matches is the answer."""

    pattern: str
    name: str
    advice: str = WHOLE


KINDS = (
    Kind(
        r"motion_modules\..*lora|lora.*motion_modules",
        "an AnimateDiff motion LoRA",
        "it does not work with SVD: " + WHOLE,
    ),
    Kind(r"motion_modules\.", "an AnimateDiff motion module"),
    Kind(
        r"\blora_(A|B|up|down)\b|\blora\.(up|down)\b|_lora\.(up|down)\b|^lora_", "a LoRA", "it holds no model: " + WHOLE
    ),
    Kind(r"controlnet_(down_blocks|cond_embedding|mid_block)\.|^control_model\.|input_hint_block\.", "a ControlNet"),
    Kind(r"ip_adapter\.|^image_proj\.", "an IP-Adapter"),
    Kind(r"^down_blocks\..*\.spatial_res_block\.", "the UNet of an SVD diffusers folder, alone", FOLDER),
    Kind(r"^decoder\.time_conv_out\.", "the VAE of an SVD diffusers folder, alone", FOLDER),
    Kind(r"^input_blocks\..*\.time_stack\.", "an SVD UNet alone, without its VAE and CLIP"),
    Kind(r"^model\.diffusion_model\.input_blocks\..*\.time_stack\.", "an SVD checkpoint with parts left out"),
    Kind(r"temopral_conv|\.init_attn\.", "a VideoCrafter, DynamiCrafter or ModelScope video model"),
    Kind(r"joint_blocks\.", "Stable Diffusion 3"),
    Kind(r"double_blocks\..*(img_attn|img_mod)", "a Flux or HunyuanVideo model"),
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


def kind_of(names: Collection[str]) -> Kind:
    """What a file with tensors of these names looks like."""
    text = "\n".join(names)
    return next((kind for kind in KINDS if re.search(kind.pattern, text, re.MULTILINE)), UNKNOWN)
