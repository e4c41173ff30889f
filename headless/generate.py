"""A clip from each picture without any graph: the pack's functions called one after the other."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..nodes.host.standalone import Session, advising, checkpoint_path, default_folders, precision
from ..svd import conditioning, edm, guidance, image, noise, sampler
from ..svd.checkpoint import Models, load, open_checkpoint
from ..svd.decoding import decode
from ..svd.errors import InputError, NonFiniteError
from .device import open_device
from .execute import Watch
from .files import is_frame, name_problem, prepare_folder, publish_into, unfinished_folder
from .media import check_side, write_mp4, write_png, write_webp

FILMS = (".mp4", ".webp")
SCHEDULES = {"karras": edm.karras_sigmas, "align-your-steps": edm.align_your_steps_sigmas}
TOO_LARGE = "There is not enough memory: use --precision fp16, a lower --decode-chunk, a smaller size or fewer frames."
FRAMES = 14  # when neither the user nor the checkpoint says how many


@dataclass(frozen=True)
class Request:
    """Everything `generate` can be told. Sizes in pixels.

    `output`, for one picture: a .mp4, a .webp or a folder of PNGs; for several: a folder that gets NAME.mp4 of each.
    """

    pictures: tuple[Path, ...]
    output: Path
    checkpoint: str = "svd_xt.safetensors"
    width: int = 1024
    height: int = 576
    fit: str = "crop"
    frames: int | None = None  # None: what the checkpoint was trained for, as far as it tells
    steps: int = 25
    schedule: str = "karras"
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


class Stages:
    """Counts the stages of the work for a watch."""

    def __init__(self, watch: Watch, count: int) -> None:
        self.watch, self._count, self._position = watch, count, 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._position += 1
        self.watch.started(name, self._position, self._count)
        yield
        self.watch.finished()


def generate(request: Request, watch: Watch, written: Callable[[Path], object]) -> None:
    """Makes the clips, the checkpoint loaded once, and writes each when it is made.

    written: told each file or folder as it is there, so that a fault in a later clip loses no earlier one. It is a
        new one beside (or in) the one asked for, if that was made by someone else in the meantime.
    Raises:
        InputError: something given cannot be used; nothing was written.
        NonFiniteError: NaN or infinity came out of a network; nothing was written of this clip.
        MemoryError: the device is too small for this.
    """
    _check(request)
    device = open_device(request.device)
    session = Session((*request.checkpoint_folders, *default_folders()), device)
    with session.active(), advising(TOO_LARGE), torch.inference_mode():
        for picture in request.pictures:
            image.read_picture(picture)  # before the checkpoint: a bad one among many is known in seconds
        path = checkpoint_path(request.checkpoint)
        open_checkpoint(path).require_svd()
        is_folder = request.output.is_dir() or len(request.pictures) > 1
        prepare_folder(request.output if is_folder else request.output.absolute().parent)
        stages = Stages(watch, 1 + 4 * len(request.pictures))
        with stages.stage("Load the checkpoint"):
            models = load(path, dtype=precision(request.precision), device=device)
        for picture, target in zip(request.pictures, _targets(request), strict=True):
            with _naming(picture if len(request.pictures) > 1 else None):
                frames = _make(request, models, picture, device, stages)
                with stages.stage("Save"):
                    written(_write(request, target, frames))


@contextmanager
def _naming(picture: Path | None) -> Iterator[None]:
    """Puts the picture's name in front of what went wrong with it."""
    try:
        yield
    except (InputError, NonFiniteError) as error:
        raise (type(error)(f"{picture}: {error}") if picture else error) from error


def _make(request: Request, models: Models, path: Path, device: torch.device, stages: Stages) -> Tensor:
    """The frames, `t h w 3` in 0..1 on the CPU. Both noises are drawn as the nodes draw them, each from the seed."""
    length = request.frames or models.frames or FRAMES
    sigmas = SCHEDULES[request.schedule](request.steps)
    scale = guidance.guidance_scale(request.guidance, request.min_guidance, request.max_guidance, length)

    with stages.stage(f"Look at {path.name}"):
        tensor = image.to_tensor(image.read_picture(path))
        picture = image.fit_image(tensor, request.width, request.height, request.fit).to(device)
        embedding = conditioning.encode_clip(models.clip, picture)
        grain = noise.draw_noise(noise.clip_generators(request.seed, 1), 1, *picture.shape[1:])
        latent = conditioning.encode_latent(models.vae, picture, request.noise_aug, grain)
        told = conditioning.condition(embedding, latent, request.fps, request.motion_bucket)

    with stages.stage("Make the frames"):
        unit = noise.draw_noise(noise.clip_generators(request.seed, 1), length, *latent.latent.shape[1:])
        x = sampler.start(unit, sigmas[0]).to(device)
        told = told.to(device, models.unet.dtype)
        latents = sampler.sample(models.unet, told, x, sigmas, scale.to(device), callback=stages.watch.stepped)

    with stages.stage("Decode the frames"):
        frames = decode(models.vae, latents, length, request.decode_chunk, stages.watch.stepped)
    return frames.movedim(1, -1).cpu()


def _targets(request: Request) -> list[Path]:
    """Where the clip of each picture goes."""
    if len(request.pictures) == 1:
        return [request.output]
    return [request.output / f"{picture.stem}.mp4" for picture in request.pictures]


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
    targets = _targets(request)
    if len(targets) > 1:
        _check_folder(request.output, targets)
    for target in targets:
        _check_output(target, request.overwrite)
    check_side(targets[0].suffix, request.width, request.height)


def _check_folder(output: Path, targets: list[Path]) -> None:
    """What a folder for the clips of several pictures must be."""
    if (output.suffix or os.path.lexists(output)) and not output.is_dir():
        raise InputError(f"Several pictures need a folder for their clips, and {output} is none; give -o a folder.")
    if sentence := name_problem(Path(output.name)):
        raise InputError(sentence)
    names = [target.name.casefold() for target in targets]
    if twice := [target for target in targets if names.count(target.name.casefold()) > 1]:
        raise InputError(f"Two of the pictures would become {twice[0]}; rename one, or make its clip on its own.")


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


def _write(request: Request, output: Path, frames: Tensor) -> Path:
    overwrite = request.overwrite
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
