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

from .checkpoint import Models, load, open_checkpoint, save
from .conditioning import Conditioning, ImageLatent, condition, encode_clip, encode_latent
from .decoding import decode
from .edm import align_your_steps_sigmas, karras_sigmas
from .errors import InputError, NonFiniteError
from .guidance import guidance_scale
from .image import fit_image, read_picture, to_pil, to_tensor
from .noise import clip_generators, draw_noise
from .pipeline import StableVideoDiffusionPipeline, StableVideoDiffusionPipelineOutput
from .sampler import Churn, sample, start

__all__ = [
    "Churn",
    "Conditioning",
    "ImageLatent",
    "InputError",
    "Models",
    "NonFiniteError",
    "StableVideoDiffusionPipeline",
    "StableVideoDiffusionPipelineOutput",
    "align_your_steps_sigmas",
    "clip_generators",
    "condition",
    "decode",
    "draw_noise",
    "encode_clip",
    "encode_latent",
    "fit_image",
    "guidance_scale",
    "karras_sigmas",
    "load",
    "open_checkpoint",
    "read_picture",
    "sample",
    "save",
    "start",
    "to_pil",
    "to_tensor",
]
