"""The host when the nodes live in ComfyUI: its folders, memory manager, progress bar, previews and cancel button."""

import asyncio
import base64
import math
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import comfy.latent_formats
import comfy.model_management as memory_manager
import comfy.ops
import comfy.utils
import folder_paths
import latent_preview
import torch
from aiohttp import web
from comfy.cli_args import args
from comfy.model_patcher import ModelPatcher
from comfy_execution.utils import get_executing_context
from server import PromptServer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ...svd.errors import InputError
from ..preview import Colours, Strip, film_strip
from .advice import Advice, out_of_memory
from .folders import (
    MODEL_PAGE,
    NO_CHECKPOINT,
    PACK_CHECKPOINTS,
    checkpoint_list,
    diffusers_folders,
    safetensors_files,
    spellings,
)
from .work import Work

try:  # the numbered version is the one that is meant to stay; an editor that has dropped it has the latest
    from comfy_api.v0_0_2 import ComfyExtension as ComfyExtension
    from comfy_api.v0_0_2 import io as io
except ImportError:
    from comfy_api.latest import ComfyExtension as ComfyExtension
    from comfy_api.latest import io as io

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
UNET_PARAMETERS = 1_524_623_082

N = TypeVar("N", bound=nn.Module)


class _WithWeights:
    """Gives a layer of the editor's the loader of torch's own layers.

    With dynamic VRAM, the editor's Linear has no weights before it is loaded, unless its class brings a loader. Our
    networks are filled, measured and read like any of torch's, so they have theirs from the start.
    """

    _load_from_state_dict = nn.Module._load_from_state_dict


class ops(comfy.ops.manual_cast):
    """Layers whose weights the memory manager can stream to a card that is too small for all of them."""

    class Linear(_WithWeights, comfy.ops.manual_cast.Linear): ...

    class Conv2d(_WithWeights, comfy.ops.manual_cast.Conv2d): ...

    class GroupNorm(_WithWeights, comfy.ops.manual_cast.GroupNorm): ...

    class LayerNorm(_WithWeights, comfy.ops.manual_cast.LayerNorm): ...


def checkpoint_names() -> list[str]:
    """What the checkpoint widget offers. On a fresh install: one entry that says what to do.

    The pack's own folder is not given to ComfyUI: its other loaders cannot use what is in it.
    """
    files = [name for name in folder_paths.get_filename_list("checkpoints") if name.endswith(".safetensors")]
    files += [name for name in safetensors_files(PACK_CHECKPOINTS) if name not in files]
    return checkpoint_list(files, [name for root in _roots() for name in diffusers_folders(root)])


def checkpoint_path(name: str) -> Path:
    """The file or folder behind a name of the list. InputError if there is none."""
    known = checkpoint_names()
    if listed := next((spelt for spelt in spellings(name) if spelt in known), None):
        for path in (Path(root) / listed for root in _roots()):
            if path.is_file() or path.is_dir():  # and no pipe, which would be waited for
                return path
    if name == NO_CHECKPOINT:
        raise InputError(
            f"There is no checkpoint yet: get svd_xt.safetensors from {MODEL_PAGE}, put it in models/checkpoints, "
            "press R and choose it here."
        )
    get = f"get it from {MODEL_PAGE}, " if name == "svd_xt.safetensors" else ""
    raise InputError(
        f"There is no checkpoint called {name!r}: {get}put it in models/checkpoints, press R and choose it here."
    )


def _roots() -> list[str]:
    return [
        *folder_paths.get_folder_paths("checkpoints"),
        *folder_paths.get_folder_paths("diffusers"),
        str(PACK_CHECKPOINTS),
    ]


def precision(choice: str) -> torch.dtype:
    """The dtype that a `precision` widget stands for; auto is what ComfyUI would give a UNet of this size here."""
    if choice != "auto":
        return DTYPES[choice]
    device = memory_manager.get_torch_device()
    chosen = memory_manager.unet_dtype(device, UNET_PARAMETERS, supported_dtypes=list(DTYPES.values()))
    return chosen if chosen in DTYPES.values() else torch.float32


class _Held(nn.Module):
    """Keeps the attributes that the memory manager writes (`device`, ...) off the network itself.

    It has a subclass for each network, since the manager's log calls a network by its class.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    @classmethod
    def of(cls, network: nn.Module) -> "_Held":
        name = type(network).__name__.removesuffix("VisionModelWithProjection")  # transformers' CLIP
        held: type[_Held] = type(f"SVD_{name}", (cls,), {})
        return held(network)


class Network(Generic[N]):
    """A network as it travels on a wire. The memory manager loads it before work, and evicts it when others need room.

    memory: what the user chose of fast, balanced and low; where weights lie is the manager's business in all of them.
    streams: whether its layers were built with `ops`; a network without them is loaded whole.
    """

    def __init__(self, module: N, memory: str = "fast", streams: bool = True) -> None:
        self.module = module
        self.memory = memory
        self.streams = streams
        device = memory_manager.get_torch_device()
        self.patcher = ModelPatcher(_Held.of(module), load_device=device, offload_device=storage_device())
        """Under this name the editor's cache finds it, and knows that gigabytes hang on a result."""

    low_moves_weights = False
    """Whether setting `memory` to low would leave more room beside the weights: they give way in every mode here."""

    def free_memory(self) -> int | None:
        """Bytes that can be had where it works; None where the device has no memory of its own."""
        device = self.patcher.load_device
        return None if memory_manager.is_device_cpu(device) else self._room(device)

    def _room(self, device: torch.device) -> int:
        """Bytes that can be had: the manager's own figure, which may count what other models give back, less what it
        was told to leave free.
        """
        free = getattr(self.patcher, "get_free_memory", memory_manager.get_free_memory)
        return max(0, int(free(device) - memory_manager.extra_reserved_memory()) - headroom())

    @contextmanager
    def at_work(self, memory: int, advice: Advice) -> Iterator[tuple[N, torch.device]]:
        """Yields (module, device) ready to work. `memory`: bytes its activations need. Out of memory: `advice`."""
        room = None
        try:
            needed = memory + headroom()
            memory_manager.load_models_gpu([self.patcher], memory_required=needed, force_full_load=not self.streams)
            device = self.patcher.load_device
            room = self._room(device)
            with _heeding_cancel(self.module, device):
                yield self.module, device
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            memory_manager.unload_all_models()
            if not room and headroom():
                raise MemoryError(
                    f"The editor was told to leave {headroom() / 2**30:g} GiB of the card free, and nothing is left "
                    "beside that: start it with a lower --vram-headroom."
                ) from error
            raise MemoryError(advice(room)) from error


@contextmanager
def _heeding_cancel(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Looks at the cancel button within a step or a chunk, which can take longer than anyone waits.

    Before every block of the network; on the CPU, where a block can take seconds, before every function of torch.
    """
    if device.type == "cpu":
        with _Interruptible():
            yield
        return
    places = [block for blocks in network.modules() if isinstance(blocks, nn.ModuleList) for block in blocks]
    hooks = [place.register_forward_pre_hook(lambda *_: heed_cancel()) for place in places]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Interruptible(TorchFunctionMode):
    """Looks at the cancel button before every function of torch that is called within it.

    Attention among the places of many frames takes the CPU seconds; it is done frame by frame, with the same bits.
    """

    LONG = 1 << 32  # multiplications of one attention that are heard out

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        heed_cancel()
        if function is F.scaled_dot_product_attention and len(args) == 3 and not kwargs:
            query, key, _ = args
            if len(query) > 1 and 2 * query.numel() * key.shape[-2] > self.LONG:
                return torch.cat(
                    [self._attend(function, frame) for frame in zip(*(x.split(1) for x in args), strict=True)]
                )
        return function(*args, **(kwargs or {}))

    @staticmethod
    def _attend(function: Callable[..., Any], frame: tuple[Tensor, ...]) -> Tensor:
        heed_cancel()
        return function(*frame)


def heed_cancel() -> None:
    """Ends the run here if the user has pressed cancel."""
    memory_manager.throw_exception_if_processing_interrupted()


def progress(
    total: int, frames: int | None = None, work: Work | None = None, colours: Colours | None = None
) -> Callable[..., None]:
    """A callback (step, total, denoised latents or None) for the progress bar, with previews.

    frames: of a clip. The page that started the run sees the whole clip move if it asked for that, else core's preview
    of frame 0, which is off unless the editor was started with it; neither where it was started without previews. It
    raises when the user has pressed cancel. work: what is done in all steps together, so that its time is known before
    the next run. colours: of latents that are not Stable Diffusion's.
    """
    latent_format = comfy.latent_formats.SD15()
    previewer = latent_preview.get_previewer(memory_manager.get_torch_device(), latent_format)
    clip = None
    if frames is not None and not _refuses_previews():
        clip = _ClipPreview(colours or _core_colours(latent_format), frames)
    bar = comfy.utils.ProgressBar(total)
    begin = time.monotonic()

    def report(step: int, total: int = total, denoised: Tensor | None = None) -> None:
        image = None
        if denoised is not None and not (clip is not None and clip.show(step, total, denoised)):
            image = previewer and previewer.decode_latent_to_preview_image("JPEG", denoised)
        bar.update_absolute(step, total, image)
        if step == total and work is not None:
            _seconds.setdefault(work.kind, {})[work.amount] = time.monotonic() - begin

    return report


def _refuses_previews() -> bool:
    """Whether the editor was told to show none, not just not told to: by itself it starts without."""
    told = any(word.startswith("--preview-method") for word in sys.argv)
    return told and args.preview_method is latent_preview.LatentPreviewMethod.NoPreviews


def work_device() -> torch.device:
    """Where networks work."""
    return memory_manager.get_torch_device()


def free_memory() -> int | None:
    """Bytes that networks and their work may take on the device: others' make room. None where it has no memory of
    its own.
    """
    if memory_manager.is_device_cpu(work_device()):
        return None
    return max(0, int(device_memory() - memory_manager.extra_reserved_memory()))


def headroom() -> int:
    """Bytes of the card that the editor was told to leave free (`--vram-headroom`), beside what it reserves itself."""
    return int((getattr(args, "vram_headroom", None) or 0) * 2**30)


def _core_colours(latent_format: comfy.latent_formats.LatentFormat) -> Colours:
    bias = latent_format.latent_rgb_factors_bias or [0.0, 0.0, 0.0]
    factors = torch.tensor(latent_format.latent_rgb_factors, dtype=torch.float32, device="cpu")  # (4, 3)
    return Colours(factors.T[:, :, None, None], torch.tensor(bias, dtype=torch.float32, device="cpu"))


class _ClipPreview:
    """Sends the moving clip to the page that asked for it, at most four times a second."""

    SECONDS = 0.25

    def __init__(self, colours: Colours, frames: int) -> None:
        context = get_executing_context()
        self._client = PromptServer.instance.client_id
        self._node = context.node_id if context else None
        self._colours = colours
        self._frames = frames
        self._sent = float("-inf")

    def show(self, step: int, total: int, denoised: Tensor) -> bool:
        """Whether this takes the place of core's preview.

        Inside a subgraph only while the page is in one: seen from outside, it has core's preview and nothing of ours.
        """
        if self._node is None or self._client not in _watching:
            return False
        if step == total or time.monotonic() - self._sent >= self.SECONDS:
            self._sent = time.monotonic()
            self._send(step, total, film_strip(denoised, self._frames, self._colours))
        return ":" not in self._node or _watching[self._client]

    def _send(self, step: int, total: int, strip: Strip) -> None:
        told = {"node": self._node, "step": step, "total": total, "frames": strip.frames}
        told |= {"width": strip.width, "height": strip.height, "jpeg": base64.b64encode(strip.jpeg).decode()}
        PromptServer.instance.send_sync("svd-nodes.clip", told, self._client)


_watching: dict[str, bool] = {}  # clients that asked for moving previews -> whether each is inside a subgraph
_seconds: dict[Hashable, dict[float, float]] = {}  # that amounts of a kind of work took the last time


def seconds_for(work: Work) -> float | None:
    """How long it will take, by the run of its kind that was nearest in size; None before there was one."""
    if not (known := _seconds.get(work.kind)):
        return None
    nearest = min(known, key=lambda amount: abs(math.log(amount / work.amount)))
    return known[nearest] * work.amount / nearest


def serve_page(answers: Mapping[str, Callable[[Mapping[str, str]], dict[str, Any]]]) -> None:
    """Answers what the pack's extension asks from the page: for moving previews, and each of `answers` by its name."""
    server = PromptServer.instance

    @server.routes.post("/svd-nodes/previews")
    async def previews(request: web.Request) -> web.Response:
        try:
            match await request.json():
                case {"wanted": bool(wanted), "client": str(client), **more}:
                    for gone in _watching.keys() - server.sockets.keys() - {client}:
                        del _watching[gone]
                    _watching.pop(client, None)
                    if wanted:
                        _watching[client] = more.get("inside") is True
                    return web.json_response({})
        except ValueError:
            pass
        return web.json_response({"error": "Give wanted (true or false) and client (a text)."}, status=400)

    for name, answer in answers.items():
        server.routes.get(f"/svd-nodes/{name}")(partial(_answered, answer))


async def _answered(answer: Callable[[Mapping[str, str]], dict[str, Any]], request: web.Request) -> web.Response:
    try:
        return web.json_response(await asyncio.to_thread(answer, request.query))  # a disk may be slow
    except InputError as error:
        return web.json_response({"error": str(error)}, status=400)


def device_memory() -> int:
    """Bytes of memory that the device has in all, less what the editor was told to leave free."""
    return max(0, int(memory_manager.get_total_memory(work_device())) - headroom())


def storage_device() -> torch.device:
    """Where networks are loaded to, and rest when they are not at work."""
    return memory_manager.unet_offload_device()


def result_device() -> torch.device:
    """Where results wait for the next node."""
    return memory_manager.intermediate_device()
