"""Stable Video Diffusion in plain torch: no editor, no host. Data in, data out.

`StableVideoDiffusionPipeline` is the drop-in for diffusers; the functions are its steps, to be called one at a time:

    models = load("svd_xt.safetensors", torch.float16, "cuda")
    picture = fit_image(to_tensor(read_picture("picture.jpg")), 1024, 576).cuda()
    image_latent = encode_latent(models.vae, picture, 0.02, draw_noise(clip_generators(0, 1), 1, 3, 576, 1024))
    conditioning = condition(encode_clip(models.clip, picture), image_latent, fps=7, motion_bucket_id=127)
    sigmas, scale = karras_sigmas(25), guidance_scale("linear", 1.0, 3.0, frames := 25)
    x = start(draw_noise(clip_generators(0, 1), frames, 4, 72, 128), sigmas[0]).cuda()
    latent = sample(models.unet, conditioning, x, sigmas, scale)
    pictures = to_pil(decode(models.vae, latent, frames, frames_per_chunk=14))
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """These come with torch, at the first use of one. What needs no torch, such as `errors`, is had without."""
    if find_spec(f".{name}", __name__) is None:  # a module is imported by whoever asks for it
        public = import_module(".public", __name__)
        if name == "__all__" or name in public.__all__:
            return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
