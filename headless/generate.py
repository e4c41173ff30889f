"""A clip from each picture without any graph: the pack's functions called one after the other."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..nodes import memory
from ..nodes.host.standalone import Network, Session, advising, checkpoint_path, default_folders, precision
from ..svd import conditioning, edm, guidance, image, noise, sampler
from ..svd.checkpoint import Checkpoint, load
from ..svd.decoding import decode
from ..svd.errors import InputError, NonFiniteError
from ..svd.kernels import begin, build
from ..svd.kernels.build import Progress
from ..svd.memory import LITTLE_ROOM, decoding_room, free_memory
from ..svd.unet import UNet
from ..svd.vae import VAE
from .checkpoints import opened
from .device import open_device
from .execute import Watch
from .files import is_frame, name_problem, prepare_folder, publish_into, unfinished_folder
from .media import check_side, write_mp4, write_png, write_webp

FILMS = (".mp4", ".webp")
SCHEDULES = {"karras": edm.karras_sigmas, "align-your-steps": edm.align_your_steps_sigmas}
TOO_LARGE = (
    "There is not enough memory: use --memory low, --precision fp16, a lower --decode-chunk, a smaller size or fewer "
    "frames."
)
FRAMES = 14  # when neither the user nor the checkpoint says how many


@dataclass(frozen=True)
class Trained:
    """What a checkpoint is at its best with."""

    width: int = 1024
    height: int = 576
    max_guidance: float = 3.0


OTHERS = {"svd-nano": Trained(256, 256, 2.0)}  # by the title in the file's metadata


@dataclass(frozen=True)
class Request:
    """Everything `generate` can be told. Sizes in pixels.

    `output`, for one picture: a .mp4, a .webp or a folder of PNGs; for several: a folder that gets NAME.mp4 of each.
    """

    pictures: tuple[Path, ...]
    output: Path
    checkpoint: str = "svd_xt.safetensors"
    width: int | None = None  # None, here and below: what the checkpoint was trained for, as far as it tells
    height: int | None = None
    fit: str = "crop"
    frames: int | None = None
    steps: int = 25
    schedule: str = "karras"
    min_guidance: float = 1.0
    max_guidance: float | None = None
    guidance: str = "linear"
    fps: int = 7
    motion_bucket: int = 127
    noise_aug: float = 0.02
    seed: int = 0
    decode_chunk: int = 14
    precision: str = "auto"
    memory: str = "auto"
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
        checkpoint = opened(checkpoint_path(request.checkpoint))
        checkpoint.require_svd()
        clip = _clip(request, checkpoint)
        for picture in request.pictures:
            image.read_picture(picture)  # before the weights: a bad one among many is known in seconds
        is_folder = request.output.is_dir() or len(request.pictures) > 1
        prepare_folder(request.output if is_folder else request.output.absolute().parent)
        stages = Stages(watch, 1 + 4 * len(request.pictures))
        with stages.stage("Load the checkpoint"):
            networks = _load(request, checkpoint, device, stages.watch.stepped)
        for picture, target in zip(request.pictures, _targets(request), strict=True):
            with _naming(picture if len(request.pictures) > 1 else None):
                frames = _make(request, clip, networks, picture, stages)
                with stages.stage("Save"):
                    written(_write(request, target, frames))


@contextmanager
def _naming(picture: Path | None) -> Iterator[None]:
    """Puts the picture's name in front of what went wrong with it."""
    try:
        yield
    except (InputError, NonFiniteError) as error:
        raise (type(error)(f"{picture}: {error}") if picture else error) from error


@dataclass(frozen=True)
class Clip:
    """What every clip of a request is like, the checkpoint's share in it included."""

    width: int
    height: int
    frames: int
    scale: Tensor  # (t,), of guidance


@dataclass(frozen=True)
class Networks:
    """The checkpoint, each part where `memory` (fast, balanced or low) wants it."""

    unet: Network[UNet]
    vae: Network[VAE]
    clip: Network[Any]
    memory: str


def _clip(request: Request, checkpoint: Checkpoint) -> Clip:
    """InputError on a size or a guidance that cannot be."""
    trained = OTHERS.get(checkpoint.metadata.get("modelspec.title", ""), Trained())
    width, height = request.width or trained.width, request.height or trained.height
    low, high = request.min_guidance, request.max_guidance
    high = trained.max_guidance if high is None else high
    unet, vae = checkpoint.unet.config, checkpoint.vae.config
    conditioning.check_size(width, height, vae.downscale, max(unet.least_cells, vae.least_cells))
    check_side(_targets(request)[0].suffix, width, height)
    if request.guidance != "constant" and low > high:
        raise InputError(f"The least guidance {low:g} is above the most, {high:g}; change --min-guidance or the other.")
    frames = request.frames or checkpoint.frames or FRAMES
    return Clip(width, height, frames, guidance.guidance_scale(request.guidance, low, high, frames))


def _load(request: Request, checkpoint: Checkpoint, device: torch.device, progress: Progress) -> Networks:
    """The kernels are built while the checkpoint is read; what is left of that then is told to `progress`."""
    dtype = precision(request.precision)
    begin(device, dtype)
    chosen = memory.choose(request.memory, checkpoint, dtype.itemsize, free_memory(device))
    models = load(checkpoint.path, dtype=dtype, device=device if chosen == "fast" else "cpu")
    build(device, dtype, progress)
    return Networks(Network(models.unet, chosen), Network(models.vae, chosen), Network(models.clip, chosen), chosen)


def _make(request: Request, clip: Clip, networks: Networks, path: Path, stages: Stages) -> Tensor:
    """The frames, `t h w 3` in 0..1 on the CPU. Both noises are drawn as the nodes draw them, each from the seed."""
    sigmas = SCHEDULES[request.schedule](request.steps)

    with stages.stage(f"Look at {path.name}"):
        tensor = image.to_tensor(image.read_picture(path))
        picture = image.fit_image(tensor, clip.width, clip.height, request.fit)
        with networks.clip.at_work(0, _too_large) as (encoder, device):
            embedding = conditioning.encode_clip(encoder, picture.to(device))
        grain = noise.draw_noise(noise.clip_generators(request.seed, 1), 1, *picture.shape[1:])
        with networks.vae.at_work(0, _too_large) as (vae, device):
            latent = conditioning.encode_latent(vae, picture.to(device), request.noise_aug, grain)
        told = conditioning.condition(embedding, latent, request.fps, request.motion_bucket)

    with stages.stage("Make the frames"), networks.unet.at_work(0, _too_large) as (unet, device):
        unit = noise.draw_noise(noise.clip_generators(request.seed, 1), clip.frames, *latent.latent.shape[1:])
        x = sampler.start(unit, sigmas[0]).to(device)
        halves, report = networks.memory != "fast", stages.watch.stepped
        told = told.to(device, unet.dtype)
        latents = sampler.sample(unet, told, x, sigmas, clip.scale.to(device), callback=report, halves=halves)

    with stages.stage("Decode the frames"), networks.vae.at_work(0, _too_large) as (vae, device):
        room = decoding_room(device, None if networks.memory == "fast" else LITTLE_ROOM)
        spill = networks.memory == "low"
        frames = decode(vae, latents, clip.frames, request.decode_chunk, stages.watch.stepped, room, spill)
    return frames.movedim(1, -1).cpu()


def _too_large(room: int | None) -> str:
    return TOO_LARGE


def _targets(request: Request) -> list[Path]:
    """Where the clip of each picture goes."""
    if len(request.pictures) == 1:
        return [request.output]
    return [request.output / f"{picture.stem}.mp4" for picture in request.pictures]


def _check(request: Request) -> None:
    """What can be refused before anything is read."""
    for name in ("min_guidance", "max_guidance", "noise_aug"):
        if (value := getattr(request, name)) is not None and not math.isfinite(value):
            raise InputError(f"--{name.replace('_', '-')} is {value}; give it a number.")
    targets = _targets(request)
    if len(targets) > 1:
        _check_folder(request.output, targets)
    for target in targets:
        _check_output(target, request.overwrite)


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
