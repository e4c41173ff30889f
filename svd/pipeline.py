"""The drop-in for people who come from diffusers: `StableVideoDiffusionPipeline`, the same call and the same frames.

    from svd_nodes.svd import StableVideoDiffusionPipeline
    pipe = StableVideoDiffusionPipeline.from_pretrained("svd_xt.safetensors", torch_dtype=torch.float16).to("cuda")
    frames = pipe(image, generator=torch.manual_seed(42)).frames[0]

The preprocessing and the order of random draws are diffusers' (unlike the nodes', which fit the picture once for CLIP
and VAE). What differs, because diffusers departs there from the original or from itself, is listed in the README.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from . import checkpoint
from .conditioning import Conditioning, check_size, condition, encode_clip, encode_latent
from .decoding import decode
from .edm import c_noise
from .errors import InputError
from .guidance import constant, linear
from .image import rgb, to_pil, to_rgb, to_tensor
from .kernels import begin, build
from .memory import LITTLE_ROOM, decoding_room
from .pretrained import FeatureExtractor, Scheduler, from_hub
from .sampler import OnState, sample, start
from .streaming import Streamed
from .unet import UNet
from .vae import VAE

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

Generators = torch.Generator | list[torch.Generator] | None
StepEnd = Callable[["StableVideoDiffusionPipeline", int, Tensor, dict[str, Tensor]], dict[str, Tensor] | None]
OUTPUT_TYPES = ("pil", "np", "pt", "latent")
PARTS = ("vae", "image_encoder", "unet", "scheduler", "feature_extractor")
HUB_OPTIONS = ("revision", "token", "cache_dir", "local_files_only", "force_download", "proxies", "etag_timeout")
LOADING_OPTIONS = ("use_safetensors", "low_cpu_mem_usage", "device_map")  # diffusers': here there is one way only


class StableVideoDiffusionPipelineOutput(NamedTuple):
    """`frames`, or `[0]`: lists of lists of pictures (pil), an array b t h w c (np), a tensor b t c h w (others)."""

    frames: list[list[Image.Image]] | np.ndarray | Tensor


class StableVideoDiffusionPipeline:
    """Animates pictures. Its parts can be replaced: `vae, image_encoder, unet, scheduler, feature_extractor`."""

    def __init__(
        self,
        vae: VAE,
        image_encoder: "CLIPVisionModelWithProjection",
        unet: UNet,
        scheduler: Scheduler | None = None,
        feature_extractor: FeatureExtractor | None = None,
        num_frames: int | None = None,
    ) -> None:
        self.vae, self.image_encoder, self.unet = vae, image_encoder, unet
        self.scheduler = scheduler or Scheduler()
        self.feature_extractor = feature_extractor or FeatureExtractor()
        self.num_frames = num_frames  # where the UNet's config does not say: from the file's name
        self.guidance_scale: Tensor | None = None  # (t,), of the running call
        self.num_timesteps = 0
        self._offload_device: torch.device | None = None
        self._streaming = False  # the UNet's weights, layer by layer
        self._streamed: Streamed | None = None
        self._progress: dict[str, Any] = {}

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        torch_dtype: torch.dtype = torch.float32,
        variant: str | None = None,
        **options: Any,
    ) -> Self:
        """Loads a single-file checkpoint, a diffusers folder, or the folder of a model id such as "owner/name".

        A model id is looked up, and fetched if need be, by huggingface_hub's snapshot_download, to which its own
        options go (revision, token, cache_dir, local_files_only ...). A part of the pipeline (`unet=...`) takes the
        place of the checkpoint's. InputError says what is wrong with an option or a checkpoint.
        """
        if not isinstance(torch_dtype, torch.dtype):
            raise InputError(f"torch_dtype is {torch_dtype!r}: give a dtype such as torch.float16.")
        if unknown := set(options) - {*PARTS, *HUB_OPTIONS, *LOADING_OPTIONS}:
            raise InputError(f"from_pretrained has no option {', '.join(sorted(unknown))}.")
        path = Path(pretrained_model_name_or_path)
        if not path.exists() and str(pretrained_model_name_or_path).count("/") == 1 and not path.suffix:
            hub = {name: value for name, value in options.items() if name in HUB_OPTIONS}
            path = from_hub(str(pretrained_model_name_or_path), variant, hub)
        checkpoint.open_checkpoint(path, variant).require_svd()
        models = checkpoint.load(path, dtype=torch_dtype, variant=variant)
        parts = {
            "vae": models.vae,
            "image_encoder": models.clip,
            "unet": models.unet,
            "scheduler": Scheduler.from_folder(path),
            "feature_extractor": FeatureExtractor.from_folder(path),
        }
        parts |= {name: value for name, value in options.items() if name in PARTS}
        return cls(**parts, num_frames=models.frames)

    def to(
        self, *targets: torch.device | str | torch.dtype, device: Any = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Moves every network to a device (which ends offloading), a precision, or both. VAE encoders stay in fp32."""
        for target in targets:
            if isinstance(target, torch.dtype):
                dtype = target
            else:
                device = target
        self._streamed = None
        if device is not None:
            self._offload_device, self._streaming = None, False
        for network in (self.vae, self.image_encoder, self.unet):
            network.to(device)
        if dtype is not None:
            for network in (self.vae.decoder, self.vae.post_quant_conv, self.image_encoder, self.unet):
                network.to(dtype)
        begin(self.device, self.unet.dtype)
        return self

    def save_pretrained(self, save_directory: str | Path, variant: str | None = None) -> None:
        """Writes the weights as a new folder that diffusers loads. InputError if it exists or cannot be."""
        models = checkpoint.Models(self.unet, self.vae, self.image_encoder, frames=self.num_frames)
        checkpoint.save(models, save_directory, "diffusers", variant=variant)

    def enable_model_cpu_offload(self, device: torch.device | str = "cuda") -> None:
        """Keeps the networks on the CPU and brings each to `device` for its own part of a call."""
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError):
            raise InputError(f"There is no device {str(device)!r} here to bring the networks to.") from None
        self.to("cpu")
        self._offload_device, self._streaming = torch.device(device), False

    def enable_sequential_cpu_offload(self, device: torch.device | str = "cuda") -> None:
        """The same, and the UNet's weights come to `device` layer by layer while it computes, guidance's two halves
        run one after the other, and decoding takes little room: the least memory, for the same frames."""
        self.enable_model_cpu_offload(device)
        self._streaming = True

    def set_progress_bar_config(self, **options: Any) -> None:
        """Options of the tqdm bar, `disable=True` say."""
        self._progress = options

    @property
    def components(self) -> dict[str, Any]:
        """The parts by name, for a second pipeline that shares them."""
        return {name: getattr(self, name) for name in PARTS}

    @property
    def dtype(self) -> torch.dtype:
        """The UNet's precision."""
        return self.unet.dtype

    @property
    def device(self) -> torch.device:
        """Where a call computes."""
        return self._offload_device or next(self.unet.parameters()).device

    @torch.no_grad()
    def __call__(
        self,
        image: Image.Image | list[Image.Image] | Tensor,
        height: int | None = 576,
        width: int | None = 1024,
        num_frames: int | None = None,
        num_inference_steps: int = 25,
        sigmas: Sequence[float] | None = None,
        min_guidance_scale: float = 1.0,
        max_guidance_scale: float = 3.0,
        fps: int = 7,
        motion_bucket_id: int = 127,
        noise_aug_strength: float = 0.02,
        decode_chunk_size: int | None = None,
        num_videos_per_prompt: int | None = 1,
        generator: Generators = None,
        latents: Tensor | None = None,
        output_type: str | None = "pil",
        callback_on_step_end: StepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        return_dict: bool = True,
    ) -> StableVideoDiffusionPipelineOutput | list[list[Image.Image]] | np.ndarray | Tensor:
        """Animates one picture or several. Arguments, defaults and results as diffusers documents them.

        image: a picture, a list of them (of any sizes), or a tensor (b 3 h w) in 0..1. height, width: of the clip, by
        default the model's own; both divide by 8. num_frames: by default the model's own. sigmas: a whole schedule,
        its last number included. generator: one, or one per clip. latents: the unit noise to start from,
        (b n, t, 4, h/8, w/8), for n videos per picture. callback_on_step_end(pipe, step, timestep, {"latents": ...})
        may return {"latents": ...} to go on from. Returns what StableVideoDiffusionPipelineOutput says.
        InputError on arguments that cannot work.
        """
        cell = self.vae.config.downscale
        height, width = height or self._own_size(), width or self._own_size()
        frames = (self.unet.config.num_frames or self.num_frames or 0) if num_frames is None else num_frames
        videos = 1 if num_videos_per_prompt is None else num_videos_per_prompt
        pictures = [image] if isinstance(image, Image.Image) else image
        tensor_inputs = callback_on_step_end_tensor_inputs
        self._check(pictures, (width, height), frames, videos, generator, output_type, tensor_inputs)
        schedule = self.scheduler.sigmas(num_inference_steps) if sigmas is None else _own_sigmas(sigmas)

        # The order of the draws is diffusers': first the noise on the pictures, then the noise the clips start from.
        told = self._condition(pictures, height, width, fps, motion_bucket_id, noise_aug_strength, generator)
        told = Conditioning(*(x.repeat_interleave(videos, dim=0) for x in (told.context, told.concat, told.scalars)))
        shape = (len(told.context), frames, self.unet.config.out_channels, height // cell, width // cell)
        if latents is None:
            latents = _randn(shape, generator)
        elif tuple(latents.shape) != shape:
            raise InputError(f"latents are {tuple(latents.shape)}, but this call needs {shape} (b t c h w).")

        guide = linear if max_guidance_scale > 1 else constant  # at most 1 means no guidance there
        scale = self.guidance_scale = guide(min_guidance_scale, max(max_guidance_scale, 1.0), frames)
        self.num_timesteps = len(schedule) - 1
        x = start(latents.flatten(0, 1).to(self.device, torch.float32), schedule.max().to(self.device))
        on_state = None
        if callback_on_step_end is not None:
            on_state = self._on_state(callback_on_step_end, schedule, shape, tensor_inputs)
        x = self._sample(told, x, schedule, scale, on_state).unflatten(0, shape[:2])

        result = x if output_type == "latent" else self._decode(x, decode_chunk_size, output_type)
        return StableVideoDiffusionPipelineOutput(frames=result) if return_dict else result

    def _condition(
        self,
        pictures: Sequence[Image.Image] | Tensor,
        height: int,
        width: int,
        fps: int,
        motion_bucket_id: int,
        noise_aug_strength: float,
        generator: Generators,
    ) -> Conditioning:
        """CLIP sees each picture in its own shape, the VAE sees it stretched to the clip's."""
        mean, std = self.feature_extractor.image_mean, self.feature_extractor.image_std
        with self._at_work(self.image_encoder) as clip:
            seen = [rgb(pictures)] if isinstance(pictures, Tensor) else [to_tensor(picture) for picture in pictures]
            embedding = torch.cat([encode_clip(clip, picture.to(self.device), mean, std) for picture in seen])
        stretched = _stretch(pictures, width, height)
        noise = _randn(stretched.shape, generator)
        with self._at_work(self.vae) as vae:
            image_latent = encode_latent(vae, stretched.to(self.device), noise_aug_strength, noise.to(self.device))
        return condition(embedding, image_latent, fps, motion_bucket_id)

    def _on_state(
        self, callback: StepEnd, sigmas: Tensor, shape: Sequence[int], tensor_inputs: Sequence[str]
    ) -> OnState:
        """diffusers' callback at the end of a step as the sampler's hook."""

        def on_state(step: int, x: Tensor) -> Tensor:
            given = {"latents": x.reshape(shape)} if "latents" in tensor_inputs else {}
            changed = callback(self, step - 1, c_noise(sigmas[step - 1]), given) or {}
            return changed["latents"].reshape(x.shape).to(x) if "latents" in changed else x

        return on_state

    def _sample(self, told: Conditioning, x: Tensor, sigmas: Tensor, scale: Tensor, on_state: OnState | None) -> Tensor:
        from tqdm.auto import tqdm

        build(self.device, self.unet.dtype)
        with tqdm(total=len(sigmas) - 1, **self._progress) as bar, self._unet_at_work() as unet:
            options: dict[str, Any] = {"on_state": on_state, "halves": self._streaming}
            return sample(unet, told, x, sigmas, scale, callback=lambda *_: bar.update(), **options)

    def _decode(
        self, latents: Tensor, decode_chunk_size: int | None, output_type: str | None
    ) -> list[list[Image.Image]] | np.ndarray | Tensor:
        clips, frames = latents.shape[:2]
        with self._at_work(self.vae) as vae:
            room = decoding_room(self.device, LITTLE_ROOM if self._streaming else None)
            images = decode(vae, latents.flatten(0, 1), frames, decode_chunk_size, room=room, spill=self._streaming)
        images = images.unflatten(0, (clips, frames))
        if output_type == "pt":
            return images
        if output_type == "np":
            return images.movedim(2, -1).cpu().numpy()
        return [to_pil(clip) for clip in images]

    @contextmanager
    def _at_work(self, network: nn.Module) -> Iterator[Any]:
        """Brings an offloaded network to the device, and back however the work ends."""
        if self._offload_device is None:
            yield network
            return
        try:
            yield network.to(self._offload_device)
        finally:
            network.to("cpu")

    @contextmanager
    def _unet_at_work(self) -> Iterator[Any]:
        if not self._streaming or self._offload_device is None:
            with self._at_work(self.unet) as unet:
                yield unet
            return
        if self._streamed is None or self._streamed.unet is not self.unet:
            self._streamed = Streamed(self.unet, self._offload_device)
        with self._streamed.on_card() as unet:
            yield unet

    def _own_size(self) -> int:
        if self.unet.config.sample_size is None:
            raise InputError("The checkpoint does not say its own size: give height and width.")
        return self.unet.config.sample_size * self.vae.config.downscale

    def _check(
        self,
        pictures: Any,
        size: tuple[int, int],
        frames: int,
        videos: int,
        generator: Generators,
        output_type: str | None,
        tensor_inputs: Sequence[str],
    ) -> None:
        is_pictures = isinstance(pictures, list) and all(isinstance(picture, Image.Image) for picture in pictures)
        if not (isinstance(pictures, Tensor) or is_pictures) or len(pictures) == 0:
            raise InputError("image must be a PIL picture, a list of them, or a tensor of shape (b, 3, h, w) in 0..1.")
        least = max(self.unet.config.least_cells, self.vae.config.least_cells)
        check_size(*size, self.vae.config.downscale, least)
        if frames < 1:
            raise InputError(f"num_frames is {frames}: give 1 or more (SVD was trained on 14, SVD-XT on 25).")
        if videos < 1:
            raise InputError(f"num_videos_per_prompt is {videos}: at least 1 is needed.")
        clips = len(pictures) * videos
        if isinstance(generator, list) and len(generator) not in (1, clips):
            raise InputError(f"There are {len(generator)} generators for {clips} clips: give one, or one for each.")
        if output_type not in OUTPUT_TYPES:
            raise InputError(f"output_type {output_type!r} is unknown: choose one of {', '.join(OUTPUT_TYPES)}.")
        if unknown := set(tensor_inputs) - {"latents"}:
            raise InputError(f"callback_on_step_end_tensor_inputs: {', '.join(sorted(unknown))} unknown: only latents.")


def _own_sigmas(sigmas: Sequence[float]) -> Tensor:
    """A schedule given as numbers, its last one included. InputError on what cannot be sampled."""
    schedule = torch.tensor(list(sigmas), dtype=torch.float32)
    if len(schedule) < 2 or not schedule.isfinite().all() or (schedule[:-1] <= 0).any() or schedule[-1] < 0:
        raise InputError("sigmas must be two or more numbers above 0, of which the last alone may be 0.")
    return schedule


def _stretch(pictures: Sequence[Image.Image] | Tensor, width: int, height: int) -> Tensor:
    """To width x height whatever the shape, Lanczos for pictures as diffusers does: (b 3 height width) in 0..1."""
    if isinstance(pictures, Tensor):
        resized = F.interpolate(rgb(pictures), (height, width), mode="bicubic", antialias=True)
        return rgb(pictures) if pictures.shape[-2:] == (height, width) else resized.clamp(0, 1)
    size = (width, height)
    return torch.cat([to_tensor(to_rgb(picture).resize(size, Image.Resampling.LANCZOS)) for picture in pictures])


def _randn(shape: Sequence[int], generator: Generators) -> Tensor:
    """Unit noise in fp32 on the generator's device; from a list of generators, one per item of the batch."""
    if isinstance(generator, list) and len(generator) == 1:
        generator = generator[0]
    if not isinstance(generator, list):
        return torch.randn(shape, generator=generator, device=generator.device if generator else "cpu")
    return torch.stack([torch.randn(shape[1:], generator=g, device=g.device) for g in generator[: shape[0]]])
