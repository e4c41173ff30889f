"""What travels between our nodes, and the two ways across the border to the editor's own types.

IMAGE: b h w c in 0..1, c = 1, 3 or 4. LATENT: `samples` (b t) c h w in VAE scale, as core's VAE Decode and Save Latent
expect, and beside it our `frames` t and core's `batch_index`, by which clips are told apart after core's nodes have cut
and joined them (see `clips_of`). Inside the pack pictures are b 3 h w in 0..1 and latents have unit variance.
"""

from itertools import pairwise
from typing import Any

from torch import Tensor

from ..svd.edm import LATENT_SCALE
from ..svd.errors import InputError
from ..svd.image import rgb
from .host import io, result_device

CATEGORY = "video/Stable Video Diffusion"

Model = io.Custom("SVD_MODEL")
Clip = io.Custom("SVD_CLIP")
Vae = io.Custom("SVD_VAE")
Embedding = io.Custom("SVD_EMBEDDING")
ImageLatent = io.Custom("SVD_IMAGE_LATENT")
Conditioning = io.Custom("SVD_CONDITIONING")

Latent = dict[str, Any]

NEXT_FRAME, NEXT_CLIP = 2, 3  # what batch_index goes up by. Core counts by ones, so its joints are neither


def from_image(image: Tensor) -> Tensor:
    """b h w c -> b 3 h w, transparency on white. InputError on anything that is no picture."""
    return rgb(image.movedim(-1, 1)).clamp(0, 1)


def to_image(frames: Tensor) -> Tensor:
    """n c h w -> n h w c, fp32, where the host keeps results."""
    return frames.movedim(1, -1).float().contiguous().to(result_device())


def from_latent(latent: Latent) -> tuple[Tensor, list[int]]:
    """((b t) c h w with unit variance, the frames of each clip). InputError on what is no video's latent."""
    samples = latent["samples"]
    if samples.ndim != 4 or samples.shape[1] != 4:
        raise InputError(
            f"The latent has shape {tuple(samples.shape)}: expected frames, 4 channels, height and width; "
            "connect the latent of an SVD Sampler."
        )
    if not samples.isfinite().all():
        raise InputError("The latent contains NaN or infinite values: check the node that made it.")
    return samples.float() * LATENT_SCALE, clips_of(latent)


def clips_of(latent: Latent) -> list[int]:
    """The frames of each clip, in order, also of a latent that was cut or joined since it was sampled.

    Core's nodes (Latent From Batch, Latent Batch, Repeat, Rebatch) keep `batch_index` in step, so a clip ends where it
    does not go on by NEXT_FRAME. (Frames 0 to 2 of one clip joined with 3 to 5 of another go on, as one clip.) Without
    it there is the count: what is shorter than a clip is part of one. A latent that carries neither is one clip.
    InputError where two clips could not be told apart.
    """
    entries, frames, index = len(latent["samples"]), _frame_count(latent), latent.get("batch_index")
    index = index if isinstance(index, list) and all(isinstance(place, int) for place in index) else None
    if not entries:
        raise InputError("The latent has 0 frames: connect the latent of an SVD Sampler.")
    if index is not None and len(index) == entries:
        ups = [after - before for before, after in pairwise(index)]
        if NEXT_FRAME in ups or NEXT_CLIP in ups:
            ends = [i for i, up in enumerate(ups, start=1) if up != NEXT_FRAME]
            return [end - begin for begin, end in pairwise([0, *ends, entries])]
    if frames is None:
        return [entries]
    several_were_cut = index is not None and entries < len(index) > frames
    if not several_were_cut and entries % frames == 0:
        return [frames] * (entries // frames)
    if not several_were_cut and entries < frames:
        return [entries]
    what = " cut out of several clips" if several_were_cut else ", which does not make whole clips"
    raise InputError(
        f"The latent has {entries} frames{what} of {frames}: connect the latent of an SVD Sampler as it is, and cut or "
        "join the frames after SVD VAE Decode."
    )


def _frame_count(latent: Latent) -> int | None:
    frames = latent.get("frames")
    if frames is None:
        return None
    if isinstance(frames, bool) or not isinstance(frames, int | float) or frames < 1 or frames % 1:
        raise InputError(f"The latent says that a clip has {frames!r} frames: connect the latent of an SVD Sampler.")
    return int(frames)


def to_latent(latents: Tensor, frames: int) -> Latent:
    """(b t) c h w with unit variance -> what the LATENT wire carries."""
    samples = (latents.float() / LATENT_SCALE).contiguous().to(result_device())
    clip = NEXT_FRAME * (frames - 1) + NEXT_CLIP
    index = [clip * (i // frames) + NEXT_FRAME * (i % frames) for i in range(len(samples))]
    return {"samples": samples, "frames": frames, "batch_index": index}
