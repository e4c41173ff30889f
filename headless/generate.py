"""A clip from each picture without any graph: first a plan, then the pack's functions called one after the other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..nodes import memory
from ..nodes.host.folders import default_folders
from ..nodes.host.standalone import Network, Session, advising, precision, work_device
from ..svd import conditioning, edm, guidance, image, noise, sampler
from ..svd.checkpoint import Checkpoint, load
from ..svd.decoding import decode
from ..svd.errors import InputError, NonFiniteError
from ..svd.kernels import begin, build
from ..svd.kernels.build import Progress
from ..svd.memory import LITTLE_ROOM, decoding_room, free_memory
from ..svd.pretrained import Scheduler
from ..svd.recommended import Recommended, off_frames, off_guidance, off_motion, off_size, off_steps, recommended
from ..svd.unet import UNet
from ..svd.vae import VAE
from .checkpoints import opened
from .device import open_device
from .execute import Watch
from .files import prepare_folder
from .films import Kind, check_rate, check_side, pingpong, write_clip
from .request import Request, check, find
from .version import version

SCHEDULES = {"karras": edm.karras_sigmas, "align-your-steps": edm.align_your_steps_sigmas}
TOO_LARGE = (
    "There is not enough memory: use --memory low, --precision fp16, a lower --decode-chunk, a smaller size or fewer "
    "frames."
)
FRAMES = 14  # when neither the user nor the checkpoint says how many


@dataclass(frozen=True)
class Settings:
    """What all clips of a request have in common: as asked, else what the checkpoint is at its best with."""

    frames: int
    steps: int
    schedule: str
    sigmas: Tensor  # (steps + 1,)
    scale: Tensor  # (t,), of guidance
    fps: Fraction
    motion_bucket: int


@dataclass(frozen=True)
class Shot:
    """One picture, the clip's size in pixels, and where it goes."""

    picture: Path
    width: int
    height: int
    target: Path
    kind: Kind


@dataclass(frozen=True)
class Plan:
    """A request of which all has been checked that can be. notes: sentences about what could be better."""

    request: Request
    session: Session
    checkpoint: Checkpoint
    settings: Settings
    shots: tuple[Shot, ...]
    notes: tuple[str, ...]


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


def plan(request: Request) -> Plan:
    """Reads the checkpoint's header and the pictures, and settles everything.

    Raises:
        InputError: something given cannot be used; nothing was written.
        MemoryError: a picture is too large for this machine.
    """
    check(request)
    session = Session((*request.checkpoint_folders, *default_folders()), open_device(request.device))
    checkpoint = opened(find(request.checkpoint, request.checkpoint_folders), request.variant)
    checkpoint.require_svd()
    best = recommended(checkpoint)
    settings = _settings(request, checkpoint, best)
    shots, notes = [], _notes(settings, best)
    for picture, (target, kind) in zip(request.pictures, request.targets, strict=True):
        with advising(TOO_LARGE):
            size = image.read_picture(picture).size  # in whole: a bad one among many is known in seconds
        width, height = _size(request, checkpoint, best, size)
        if kind == "film":
            check_side(target.suffix, width, height)
            check_rate(target.suffix, settings.fps)
        shot = Shot(picture, width, height, target, kind)
        shots.append(shot)
        notes += filter(None, (off_size(best, shot.width, shot.height), _cropped(request, shot, size)))
    return Plan(request, session, checkpoint, settings, tuple(shots), tuple(dict.fromkeys(notes)))


def make(plan: Plan, watch: Watch, written: Callable[[Path], object]) -> None:
    """Makes the clips, the checkpoint loaded once, and writes each when it is made.

    written: told each file or folder as it is there, so that a fault in a later clip loses no earlier one. It is a
        new one beside (or in) the one asked for, if that was made by someone else in the meantime.
    Raises:
        InputError: nothing can be written there.
        NonFiniteError: NaN or infinity came out of a network; nothing was written of this clip.
        MemoryError: the device is too small for this.
    """
    request = plan.request
    with plan.session.active(), advising(TOO_LARGE), torch.inference_mode():
        for shot in plan.shots:
            prepare_folder(shot.target if shot.kind == "folder" else shot.target.absolute().parent)
        stages = Stages(watch, 1 + 4 * len(plan.shots))
        with stages.stage("Load the checkpoint"):
            networks = _load(plan, stages.watch.stepped)
        for shot in plan.shots:
            with _naming(shot.picture if len(plan.shots) > 1 else None):
                frames = _make(request, plan.settings, networks, shot, stages)
                with stages.stage("Save"):
                    shown = pingpong(frames) if request.pingpong else frames
                    told, fps = _story(plan, shot), plan.settings.fps
                    written(write_clip(shot.target, shot.kind, shown, fps, told, request.overwrite))


@contextmanager
def _naming(picture: Path | None) -> Iterator[None]:
    """Puts the picture's name in front of what went wrong with it."""
    try:
        yield
    except (InputError, NonFiniteError) as error:
        raise (type(error)(f"{picture}: {error}") if picture else error) from error


@dataclass(frozen=True)
class Networks:
    """The checkpoint, each part where `memory` (fast, balanced or low) wants it."""

    unet: Network[UNet]
    vae: Network[VAE]
    clip: Network[Any]
    memory: str


def _settings(request: Request, checkpoint: Checkpoint, best: Recommended) -> Settings:
    levels = Scheduler.from_folder(checkpoint.path) if checkpoint.layout == "diffusers" else Scheduler()
    steps, schedule = request.steps or best.steps, request.schedule or best.schedule
    low = best.min_guidance if request.min_guidance is None else request.min_guidance
    high = best.max_guidance if request.max_guidance is None else request.max_guidance
    frames = request.frames or best.frames or FRAMES
    return Settings(
        frames=frames,
        steps=steps,
        schedule=schedule,
        sigmas=SCHEDULES[schedule](steps, levels.sigma_min, levels.sigma_max),
        scale=guidance.guidance_scale(request.guidance, low, high, frames),
        fps=request.fps or Fraction(str(best.fps)),
        motion_bucket=best.motion_bucket_id if request.motion_bucket is None else request.motion_bucket,
    )


def _size(request: Request, checkpoint: Checkpoint, best: Recommended, picture: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the clip of a picture of this size. InputError if the model can make none such."""
    wide, high = best.size(*picture)
    width, height = request.width or wide, request.height or high
    unet, vae = checkpoint.unet.config, checkpoint.vae.config
    conditioning.check_size(width, height, vae.downscale, max(unet.least_cells, vae.least_cells))
    return width, height


def _notes(settings: Settings, best: Recommended) -> list[str]:
    """What of the settings is away from what the checkpoint is good at."""
    remarks = (
        off_frames(best, settings.frames),
        off_motion(best, float(settings.fps), settings.motion_bucket),
        off_steps(best, settings.steps, settings.schedule),
        off_guidance(best, float(settings.scale.max())),
    )
    return [remark for remark in remarks if remark]


def _cropped(request: Request, shot: Shot, size: tuple[int, int]) -> str | None:
    """That a picture of this size is cut, and how much of it; None below one in a hundred."""
    width, height = size
    shape = (shot.width / shot.height) / (width / height)
    cut, side = (1 - shape, "width") if shape < 1 else (1 - 1 / shape, "height")
    if request.fit != "crop" or cut < 0.01:
        return None
    return (
        f"{shot.picture.name} is {width} × {height}: {100 * cut:.0f} % of its {side} is cut off for {shot.width} × "
        f"{shot.height}. --fit pad shows all of it."
    )


def _load(plan: Plan, progress: Progress) -> Networks:
    """The kernels are built while the checkpoint is read; what is left of that then is told to `progress`."""
    dtype, device = precision(plan.request.precision), work_device()
    begin(device, dtype)
    chosen = memory.choose(plan.request.memory, plan.checkpoint, dtype.itemsize, free_memory(device))
    where, variant = device if chosen == "fast" else "cpu", plan.request.variant
    models = load(plan.checkpoint.path, dtype=dtype, device=where, variant=variant)
    build(device, dtype, progress)
    return Networks(Network(models.unet, chosen), Network(models.vae, chosen), Network(models.clip, chosen), chosen)


def _make(request: Request, settings: Settings, networks: Networks, shot: Shot, stages: Stages) -> Tensor:
    """The frames, `t h w 3` in 0..1 on the CPU. Both noises are drawn as the nodes draw them, each from the seed."""

    with stages.stage(f"Look at {shot.picture.name}"):
        tensor = image.to_tensor(image.read_picture(shot.picture))
        picture = image.fit_image(tensor, shot.width, shot.height, request.fit)
        with networks.clip.at_work(0, _too_large) as (encoder, device):
            embedding = conditioning.encode_clip(encoder, picture.to(device))
        picture_noise = noise.draw_noise(noise.clip_generators(request.seed, 1), 1, *picture.shape[1:])
        with networks.vae.at_work(0, _too_large) as (vae, device):
            image_latent = conditioning.encode_latent(vae, picture.to(device), request.noise_aug, picture_noise)
        cond = conditioning.condition(embedding, image_latent, float(settings.fps), settings.motion_bucket)

    with stages.stage("Make the frames"), networks.unet.at_work(0, _too_large) as (unet, device):
        shape = settings.frames, *image_latent.latent.shape[1:]
        unit_noise = noise.draw_noise(noise.clip_generators(request.seed, 1), *shape)
        x = sampler.start(unit_noise, settings.sigmas[0]).to(device)
        halves, report = networks.memory != "fast", stages.watch.stepped
        cond = cond.to(device, unet.dtype)
        scale = settings.scale.to(device)
        latents = sampler.sample(unet, cond, x, settings.sigmas, scale, callback=report, halves=halves)

    with stages.stage("Decode the frames"), networks.vae.at_work(0, _too_large) as (vae, device):
        room = decoding_room(device, None if networks.memory == "fast" else LITTLE_ROOM)
        spill = networks.memory == "low"
        frames = decode(vae, latents, settings.frames, request.decode_chunk, stages.watch.stepped, room, spill)
    return frames.movedim(1, -1).cpu()


def _story(plan: Plan, shot: Shot) -> dict[str, Any]:
    """What the film says of how it was made: enough to make it again, and no path of this disk."""
    request, settings = plan.request, plan.settings
    made_with = {
        "version": version(),
        "picture": shot.picture.name,
        "checkpoint": Path(request.checkpoint).name,
        "width": shot.width,
        "height": shot.height,
        "fit": request.fit,
        "frames": settings.frames,
        "steps": settings.steps,
        "schedule": settings.schedule,
        "guidance": [round(float(scale), 6) for scale in settings.scale],
        "fps": str(settings.fps),
        "motion_bucket": settings.motion_bucket,
        "noise_aug": request.noise_aug,
        "seed": request.seed,
        "decode_chunk": request.decode_chunk,
        "pingpong": request.pingpong,
    }
    return {"generate": made_with}


def _too_large(room: int | None) -> str:
    return TOO_LARGE
