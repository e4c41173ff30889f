"""A clip from a picture without any graph: the pack's functions called one after the other."""

import math
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..nodes.host.standalone import Session, advising, checkpoint_path, default_folders, precision
from ..svd import conditioning, edm, guidance, image, noise, sampler
from ..svd.checkpoint import Models, load, open_checkpoint
from ..svd.errors import InputError
from ..svd.vae import decode
from .device import open_device
from .execute import Watch
from .files import is_frame, name_problem, prepare_folder, publish_into, unfinished_folder
from .media import check_side, write_mp4, write_png, write_webp

FILMS = (".mp4", ".webp")
TOO_LARGE = "There is not enough memory: use --precision fp16, a lower --decode-chunk, a smaller size or fewer frames."
FRAMES = 14  # when neither the user nor the checkpoint says how many


@dataclass(frozen=True)
class Request:
    """Everything `generate` can be told. Sizes in pixels; `output` is a .mp4, a .webp or a folder of PNGs."""

    picture: Path
    output: Path
    checkpoint: str = "svd_xt.safetensors"
    width: int = 1024
    height: int = 576
    fit: str = "crop"
    frames: int | None = None  # None: what the checkpoint was trained for, as far as it tells
    steps: int = 25
    min_guidance: float = 1.0
    max_guidance: float = 3.0
    guidance: str = "linear"
    fps: int = 7
    motion_bucket: int = 127
    noise_aug: float = 0.02
    seed: int = 0
    decode_chunk: int = 14
    precision: str = "auto"
    device: str | None = None
    overwrite: bool = False
    checkpoint_folders: tuple[Path, ...] = ()


def generate(request: Request, watch: Watch) -> Path:
    """Makes the clip and writes it.

    Returns: the file or folder that was written. It is a new one beside (or in) the one asked for, if that was made
        by someone else in the meantime.
    Raises:
        InputError: something given cannot be used; nothing was written.
        NonFiniteError: NaN or infinity came out of a network; nothing was written.
        MemoryError: the device is too small for this.
    """
    _check(request)
    device = open_device(request.device)
    session = Session((*request.checkpoint_folders, *default_folders()), device)
    with session.active(), advising(TOO_LARGE), torch.inference_mode():
        picture = image.to_tensor(image.read_picture(request.picture))
        fitted = image.fit_image(picture, request.width, request.height, request.fit).to(device)
        path = checkpoint_path(request.checkpoint)
        open_checkpoint(path).require_svd()
        prepare_folder(request.output if request.output.is_dir() else request.output.absolute().parent)
        watch.started("Load the checkpoint", 1, 5)
        models = load(path, dtype=precision(request.precision), device=device)
        watch.finished()
        frames = _make(request, models, fitted, watch)
        watch.started("Save", 5, 5)
        written = _write(request, frames)
        watch.finished()
    return written


def _make(request: Request, models: Models, picture: Tensor, watch: Watch) -> Tensor:
    """The frames, `t h w 3` in 0..1 on the CPU. The order of random draws is the pipeline's."""
    device, clip_length = picture.device, request.frames or models.frames or FRAMES
    sigmas = edm.karras_sigmas(request.steps)
    scale = guidance.guidance_scale(request.guidance, request.min_guidance, request.max_guidance, clip_length)
    generators = noise.clip_generators(request.seed, 1)

    watch.started("Look at the picture", 2, 5)
    embedding = conditioning.encode_clip(models.clip, picture)
    grain = noise.draw_noise(generators, 1, *picture.shape[1:])
    latent = conditioning.encode_latent(models.vae, picture, request.noise_aug, grain)
    told = conditioning.condition(embedding, latent, request.fps, request.motion_bucket)
    watch.finished()

    watch.started("Make the frames", 3, 5)
    unit = noise.draw_noise(generators, clip_length, *latent.latent.shape[1:])
    x = sampler.start(unit, sigmas[0]).to(device)
    told = told.to(device, models.unet.dtype)
    latents = sampler.sample(models.unet, told, x, sigmas, scale.to(device), callback=watch.stepped)
    watch.finished()

    watch.started("Decode the frames", 4, 5)
    frames = decode(models.vae, latents, clip_length, request.decode_chunk, watch.stepped)
    watch.finished()
    return frames.movedim(1, -1).cpu()


def _check(request: Request) -> None:
    """What can be refused before anything is read."""
    for name in ("min_guidance", "max_guidance", "noise_aug"):
        if not math.isfinite(value := getattr(request, name)):
            raise InputError(f"--{name.replace('_', '-')} is {value}; give it a number.")
    conditioning.check_size(request.width, request.height)
    if request.guidance != "constant" and request.min_guidance > request.max_guidance:
        raise InputError(
            f"The least guidance {request.min_guidance:g} is above the most, {request.max_guidance:g}; swap them."
        )
    _check_output(request.output, request.overwrite)
    check_side(request.output.suffix, request.width, request.height)


def _check_output(output: Path, overwrite: bool) -> None:
    if sentence := name_problem(Path(output.name)):
        raise InputError(sentence)
    if output.suffix.lower() not in (*FILMS, ""):
        raise InputError(f"{output} is not .mp4, .webp or a folder; choose one of these.")
    if not os.path.lexists(output) or (output.is_dir() and not any(output.iterdir())):
        return
    if output.is_dir() != (not output.suffix) or (output.is_dir() and not all(map(is_frame, output.iterdir()))):
        raise InputError(f"{output} is there and holds something else; choose another name.")
    if not overwrite:
        raise InputError(f"{output} exists already; choose another name, or replace it with --overwrite.")


def _write(request: Request, frames: Tensor) -> Path:
    output, overwrite = request.output, request.overwrite
    match output.suffix.lower():
        case ".mp4":
            return write_mp4(output, frames, Fraction(request.fps), {}, overwrite)
        case ".webp":
            return write_webp(output, frames, request.fps, {}, lossless=False, quality=90, overwrite=overwrite)
        case _:
            with unfinished_folder(output) as folder:
                for number, frame in enumerate(frames, 1):
                    write_png(folder / f"frame_{number:05}.png", frame, {})
                return publish_into(output, folder, overwrite)
