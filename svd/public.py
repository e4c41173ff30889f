"""What people call, and with it torch: the names that the package itself has."""

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
