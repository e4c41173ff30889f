"""The drop-in for people who come from diffusers: `StableVideoDiffusionPipeline`, the same call and the same frames.

    from svd_nodes.svd import StableVideoDiffusionPipeline
    pipe = StableVideoDiffusionPipeline.from_pretrained("svd_xt.safetensors", torch_dtype=torch.float16).to("cuda")
    frames = pipe(image, generator=torch.manual_seed(42)).frames[0]

The preprocessing and the order of random draws are diffusers' (unlike the nodes', which fit the picture once for CLIP
and VAE). What differs, because diffusers departs there from the original or from itself, docs/exactness.md lists.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from . import arguments, checkpoint
from .conditioning import Conditioning, check_size, condition, encode_clip, encode_latent
from .decoding import decode
from .edm import c_noise
from .errors import InputError
from .guidance import linear, per_frame
from .image import to_tensor
from .inference import inference
from .kernels import begin, build
from .memory import LITTLE_ROOM, decoding_room
from .noise import batch_noise
from .output import Frames, StableVideoDiffusionPipelineOutput, as_output
from .parts import own_part
from .placement import Placement, card, mapped, owns_weights, work_device
from .pretrained import FeatureExtractor, Scheduler, from_hub
from .sampler import OnState, sample, start
from .unet import UNet
from .vae import VAE

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

Generators = torch.Generator | Sequence[torch.Generator] | None
PARTS = ("vae", "image_encoder", "unet", "scheduler", "feature_extractor")
NETWORKS = ("vae", "image_encoder", "unet")
HUB_OPTIONS = ("revision", "token", "cache_dir", "local_files_only", "force_download", "proxies", "etag_timeout")
LOADING_OPTIONS = ("use_safetensors", "low_cpu_mem_usage")  # diffusers': here there is one way only


class StableVideoDiffusionPipeline:
    """Animates pictures. Its parts can be replaced: `vae, image_encoder, unet, scheduler, feature_extractor`.

    A part of diffusers' own class becomes one of ours as it is given, and shares its weights.
    """

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
        self.scheduler: Scheduler = own_part("scheduler", scheduler)
        self.feature_extractor: FeatureExtractor = own_part("feature_extractor", feature_extractor)
        self.num_frames = num_frames  # where the UNet's config does not say: from the file's name
        self._guidance_scale: float | Tensor = 1.0  # of the running call; a callback may set it for the steps to come
        self.num_timesteps = 0
        self._placement = Placement()
        self._progress: dict[str, Any] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, own_part(name, value) if name in PARTS else value)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        dtype: torch.dtype | None = None,
        variant: str | None = None,
        device_map: Any = None,
        **options: Any,
    ) -> Self:
        """Loads a single-file checkpoint, a diffusers folder, or the folder of a model id such as "owner/name".

        A model id is looked up, and fetched if need be, by huggingface_hub's snapshot_download, to which its own
        options go (revision, token, cache_dir, local_files_only ...). torch_dtype, or dtype: of the weights, fp32 by
        default. device_map: one device to put everything on. A part of the pipeline (`unet=...`) takes the place of
        the checkpoint's. Weights that are loaded ask for no gradients: to train, `pipe.unet.train()` and
        `pipe.unet.requires_grad_(True)`. InputError says what is wrong with an option or a checkpoint.
        """
        dtype, device = arguments.precision(torch_dtype, dtype), mapped(device_map)
        if unknown := set(options) - {*PARTS, *HUB_OPTIONS, *LOADING_OPTIONS}:
            raise InputError(f"from_pretrained has no option {', '.join(sorted(unknown))}.")
        given = {name: own_part(name, value) for name, value in options.items() if name in PARTS}
        path = Path(pretrained_model_name_or_path)
        if not path.exists() and str(pretrained_model_name_or_path).count("/") == 1 and not path.suffix:
            hub = {name: value for name, value in options.items() if name in HUB_OPTIONS}
            path = from_hub(str(pretrained_model_name_or_path), variant, hub)
        checkpoint.open_checkpoint(path, variant).require_svd()
        scheduler, feature_extractor = Scheduler.from_folder(path), FeatureExtractor.from_folder(path)
        models = checkpoint.load(path, dtype=dtype, variant=variant)
        parts = {
            "vae": models.vae,
            "image_encoder": models.clip,
            "unet": models.unet,
            "scheduler": scheduler,
            "feature_extractor": feature_extractor,
        }
        pipe = cls(**(parts | given), num_frames=models.frames)
        return pipe if device is None else pipe.to(device)

    def to(
        self, *targets: torch.device | str | torch.dtype, device: Any = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Moves every network to a device (which ends offloading), a precision, or both. VAE encoders stay in fp32."""
        for target in targets:
            if isinstance(target, torch.dtype):
                dtype = target
            else:
                device = target
        if held := [name for name in NETWORKS if not owns_weights(getattr(self, name))]:
            raise InputError(
                f"The weights of {held[0]} are brought by accelerate's hooks: take those off first, with "
                "accelerate.hooks.remove_hook_from_submodules."
            )
        self._placement = Placement() if device is not None else self._placement.anew()
        for name in NETWORKS:
            getattr(self, name).to(device)
        if dtype is not None:
            for network in (self.vae.decoder, self.vae.post_quant_conv, self.image_encoder, self.unet):
                network.to(dtype)
        begin(self.device, self.unet.dtype)
        return self

    def save_pretrained(
        self, save_directory: str | Path, safe_serialization: bool = True, variant: str | None = None
    ) -> None:
        """Writes the weights as a new folder that diffusers loads. InputError if it exists or cannot be."""
        if safe_serialization is not True:
            raise InputError(f"safe_serialization is {safe_serialization!r}: only safetensors are written (True).")
        for name, part, usual in (
            ("scheduler", self.scheduler, Scheduler()),
            ("feature_extractor", self.feature_extractor, FeatureExtractor()),
        ):
            if part != usual:
                raise InputError(f"The {name} is {part}, which is not written yet: put {usual} in its place to save.")
        models = checkpoint.Models(self.unet, self.vae, self.image_encoder, frames=self.num_frames)
        checkpoint.save(models, save_directory, "diffusers", variant=variant)

    def enable_model_cpu_offload(
        self, gpu_id: int | torch.device | str | None = None, device: torch.device | str | None = None
    ) -> None:
        """Keeps the networks on the CPU and brings each to a device (the first card) for its own part of a call."""
        placement = Placement(card(gpu_id, device))
        self.to("cpu")
        self._placement = placement

    def enable_sequential_cpu_offload(
        self, gpu_id: int | torch.device | str | None = None, device: torch.device | str | None = None
    ) -> None:
        """The same, and the UNet's weights come to the device layer by layer while it computes, guidance's two halves
        run one after the other, and decoding takes little room: the least memory, for the same frames."""
        self.enable_model_cpu_offload(gpu_id, device)
        self._placement = Placement(self.device, streams=True)

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
        return self._placement.device or work_device(self.unet)

    @property
    def guidance_scale(self) -> float | Tensor:
        """The running call's, (b t 1 1 1). A callback sets `_guidance_scale`: the same, (t), (b t) or a number."""
        return self._guidance_scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the next step is guided."""
        return bool(torch.as_tensor(self._guidance_scale).max() > 1)

    @inference
    def __call__(
        self,
        image: Image.Image | Sequence[Image.Image] | Tensor,
        height: int | None = 576,
        width: int | None = 1024,
        num_frames: int | None = None,
        num_inference_steps: int = 25,
        sigmas: Sequence[float] | None = None,
        min_guidance_scale: float = 1.0,
        max_guidance_scale: float = 3.0,
        fps: float = 7,
        motion_bucket_id: float = 127,
        noise_aug_strength: float = 0.02,
        decode_chunk_size: int | None = None,
        num_videos_per_prompt: int | None = 1,
        generator: Generators = None,
        latents: Tensor | None = None,
        output_type: str | None = "pil",
        callback_on_step_end: arguments.StepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        return_dict: bool = True,
    ) -> StableVideoDiffusionPipelineOutput | Frames:
        """Animates one picture or several. Arguments, defaults and results as diffusers documents them.

        image: a picture, a list of them (of any sizes), or a tensor (b 3 h w) in 0..1. height, width: of the clip, by
        default the model's own; both divide by 8. num_frames: by default the model's own. sigmas: a whole schedule,
        its last number included. generator: one, or one per clip. latents: the unit noise to start from,
        (b n, t, 4, h/8, w/8), for n videos per picture. callback_on_step_end(pipe, step, timestep, {"latents": ...})
        may return {"latents": ...} to go on from, and may set pipe._guidance_scale. min_guidance_scale is the first
        frame's and max_guidance_scale the last one's, also where it is the lower. Returns what
        StableVideoDiffusionPipelineOutput says. InputError, before any work, on arguments that cannot work.
        """
        whole, number = arguments.whole, arguments.number
        cell, any_number = self.vae.config.downscale, float("-inf")
        height, width = (whole(*side, "576 x 1024") for side in self._sides(height, width))
        check_size(width, height, cell, max(self.unet.config.least_cells, self.vae.config.least_cells))
        if num_frames is None:
            num_frames = self.unet.config.num_frames or self.num_frames
        frames = whole("num_frames", num_frames, "SVD was trained on 14, SVD-XT on 25")
        videos = whole("num_videos_per_prompt", 1 if num_videos_per_prompt is None else num_videos_per_prompt, "1")
        low = number("min_guidance_scale", min_guidance_scale, any_number, "1 is usual")
        high = number("max_guidance_scale", max_guidance_scale, any_number, "3 is usual")
        steps = whole("num_inference_steps", num_inference_steps, "25 is usual") if sigmas is None else 0
        pictures = arguments.pictures(image)
        clips = len(pictures) * videos
        shape = (clips, frames, self.unet.config.out_channels, height // cell, width // cell)
        given = arguments.generators(generator, clips)
        callback, tensor_inputs = arguments.callback(callback_on_step_end, callback_on_step_end_tensor_inputs)
        call = arguments.Call(
            pictures=pictures,
            size=(width, height),
            shape=shape,
            videos=videos,
            schedule=self.scheduler.sigmas(steps) if sigmas is None else arguments.own_sigmas(sigmas),
            guidance=linear(low, high, frames),
            fps=number("fps", fps, 1, "7 is usual"),
            motion_bucket=number("motion_bucket_id", motion_bucket_id, 0, "127 is usual"),
            noise_aug=number("noise_aug_strength", noise_aug_strength, 0, "0.02 is usual"),
            chunk=None if decode_chunk_size is None else whole("decode_chunk_size", decode_chunk_size, "8 is usual"),
            generators=given,
            latents=arguments.unit_latents(latents, shape),
            output_type=arguments.output_type(output_type),
            callback=callback,
            tensor_inputs=tensor_inputs,
        )
        frames_out = self._run(call)
        return StableVideoDiffusionPipelineOutput(frames=frames_out) if return_dict else frames_out

    def _run(self, call: arguments.Call) -> Frames:
        # The order of the draws is diffusers': first the noise on the pictures, then the noise the clips start from.
        conditioning = self._condition(call)
        latents = batch_noise(call.shape, call.generators) if call.latents is None else call.latents
        self._guidance_scale = call.guidance.expand(call.shape[:2])[..., None, None, None].to(self.device)
        self.num_timesteps = len(call.schedule) - 1
        x = self._sample(call, conditioning, latents)
        return x if call.output_type == "latent" else self._decode(x, call)

    def _condition(self, call: arguments.Call) -> Conditioning:
        """CLIP sees each picture in its own shape, the VAE sees it stretched to the clip's."""
        mean, std = self.feature_extractor.image_mean, self.feature_extractor.image_std
        seen = [call.pictures] if isinstance(call.pictures, Tensor) else map(to_tensor, call.pictures)
        with self._placement.at_work(self.image_encoder) as (clip, device):
            embedding = torch.cat([encode_clip(clip, picture.to(device), mean, std) for picture in seen])
        stretched = _stretch(call.pictures, *call.size)
        noise = batch_noise(stretched.shape, call.generators)
        with self._placement.at_work(self.vae) as (vae, device):
            latent = encode_latent(vae, stretched.to(device), call.noise_aug, noise.to(device))
        told = condition(embedding, latent, call.fps, call.motion_bucket)
        each = (x.repeat_interleave(call.videos, dim=0) for x in (told.context, told.concat, told.scalars))
        return Conditioning(*each)

    def _on_state(self, call: arguments.Call) -> OnState | None:
        """diffusers' callback at the end of a step as the sampler's hook."""
        callback = call.callback
        if callback is None:
            return None

        def on_state(step: int, x: Tensor) -> Tensor:
            given = {"latents": x.reshape(call.shape)} if "latents" in call.tensor_inputs else {}
            changed = callback(self, step - 1, c_noise(call.schedule[step - 1]), given) or {}
            return changed["latents"].reshape(x.shape).to(x) if "latents" in changed else x

        return on_state

    def _sample(self, call: arguments.Call, conditioning: Conditioning, latents: Tensor) -> Tensor:
        """b t c h w"""
        from tqdm.auto import tqdm

        build(self.device, self.unet.dtype)
        clips, frames = call.shape[:2]
        at_work = self._placement.at_work(self.unet)
        with tqdm(total=self.num_timesteps, **self._progress) as bar, at_work as (unet, device):
            x = start(latents.flatten(0, 1).to(device, torch.float32), call.schedule.max().to(device))
            x = sample(
                unet,
                conditioning,
                x,
                call.schedule,
                lambda: per_frame(self._guidance_scale, clips, frames),
                callback=lambda *_: bar.update(),
                on_state=self._on_state(call),
                halves=self._placement.streams,
            )
        return x.unflatten(0, (clips, frames))

    def _decode(self, latents: Tensor, call: arguments.Call) -> Frames:
        clips, frames = latents.shape[:2]
        with self._placement.at_work(self.vae) as (vae, device):
            room = decoding_room(device, LITTLE_ROOM if self._placement.streams else None)
            z = latents.flatten(0, 1).to(device)
            images = decode(vae, z, frames, call.chunk, room=room, spill=self._placement.streams)
        return as_output(images.unflatten(0, (clips, frames)), call.output_type)

    def _sides(self, height: int | None, width: int | None) -> Iterator[tuple[str, Any]]:
        """Both by name, the model's own where none is given."""
        cells = self.unet.config.sample_size
        for name, side in (("height", height), ("width", width)):
            if not side and cells is None:
                raise InputError("The checkpoint does not say its own size: give height and width.")
            yield name, side or (cells or 0) * self.vae.config.downscale


def _stretch(pictures: Sequence[Image.Image] | Tensor, width: int, height: int) -> Tensor:
    """To width x height whatever the shape, Lanczos for pictures as diffusers does: (b 3 height width) in 0..1."""
    if isinstance(pictures, Tensor):
        if pictures.shape[-2:] == (height, width):
            return pictures
        return F.interpolate(pictures, (height, width), mode="bicubic", antialias=True).clamp(0, 1)
    size = (width, height)
    return torch.cat([to_tensor(picture.resize(size, Image.Resampling.LANCZOS)) for picture in pictures])
