"""From a file to networks: built on the meta device, checked that every tensor has its place, read one by one."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .clip import build_clip, clip_shapes
from .config import Shapes
from .errors import InputError, LayersError
from .keymap import Source
from .layout import Checkpoint, Part, open_checkpoint
from .saving import save
from .tensorfile import is_finite, read_ahead, read_tensor
from .unet import UNet
from .vae import VAE

__all__ = ["Checkpoint", "Misfit", "Models", "check", "expected_shapes", "load", "open_checkpoint", "save"]

FP32 = ("encoder.", "quant_conv.")  # of the VAE: it encodes in fp32 in every precision


@dataclass
class Models:
    """The three networks of a checkpoint.

    `frames` is the frame count the checkpoint was made for, if a config or the file's name tells it. `metadata` is what
    the file says about itself (licence and so on) and is written again by `save`.
    """

    unet: UNet
    vae: VAE
    clip: Any  # transformers.CLIPVisionModelWithProjection
    family: str = "svd"
    frames: int | None = None
    path: Path | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Misfit:
    """What keeps a checkpoint's tensors from filling one network, in the file's names."""

    part: str
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    misshapen: tuple[str, ...]  # "name is 4x8 and should be 4x9"

    def sentence(self, path: Path) -> str:
        """Says all of it, with three examples, and what to do."""
        counts = [
            f"{len(names)} {what}"
            for names, what in (
                (self.missing, "missing"),
                (self.unexpected, "unexpected"),
                (self.misshapen, "of the wrong shape"),
            )
            if names
        ]
        examples = ", ".join((*self.missing[:3], *self.misshapen[:3], *self.unexpected[:3])[:3])
        if any(name.endswith(("scale_weight", "scale_input", "comfy_quant")) for name in self.unexpected):
            looks, advice = "a quantised SVD checkpoint", "get it in fp16 or fp32"
        elif self.unexpected and not self.missing:
            looks, advice = "an SVD checkpoint with something added", "use the checkpoint it was made from"
        else:
            looks, advice = "an incomplete or altered SVD checkpoint", "download it again"
        return (
            f"{path} does not fill the {self.part}: {', '.join(counts)} ({examples}); it looks like {looks}: {advice}."
        )


def check(checkpoint: Checkpoint) -> list[Misfit]:
    """What is missing, unexpected or misshapen in an opened checkpoint, one entry per network that it does not fill."""
    shapes = expected_shapes(checkpoint)
    found = (_misfit(name, shapes[name], part) for name, part in checkpoint.parts.items())
    return [misfit for misfit in found if misfit]


def expected_shapes(checkpoint: Checkpoint) -> dict[str, Shapes]:
    """The shape of every weight of each network, as its config alone decides.

    They come from networks of plain torch layers without memory, never from a host's: those may have no weights before
    they are loaded, or hold them in another form, and that says nothing about the file.
    """
    shapes: dict[str, Shapes] = {"CLIP": clip_shapes(checkpoint.clip.config)}
    for name, network in _build_own(checkpoint, nn).items():
        shapes[name] = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    return shapes


@torch.inference_mode(False)
@torch.no_grad()
def load(
    path: str | Path,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    ops: Any = nn,
    variant: str | None = None,
    on_tensor: Callable[[], object] | None = None,
) -> Models:
    """Loads a single file or a diffusers folder into the three networks.

    dtype: of all weights but the VAE's encoder and quant_conv, which stay fp32. ops: where the layers that own weights
    come from. variant: of a folder's files, "fp16" say. on_tensor: called before each tensor is used; raising in it
    ends the loading. Weights are channels-last, need no gradients, and are read one by one, a few ahead: host memory
    holds the model and those, or those alone when `device` is another. InputError if the checkpoint does not fit, or
    holds NaN, infinity, or a number that `dtype` cannot hold. LayersError if the layers of `ops` do not take weights.
    """
    checkpoint = open_checkpoint(path, variant)
    stamps = _stamps(checkpoint)
    modules, shapes = _build(checkpoint, ops), expected_shapes(checkpoint)
    for name, part in checkpoint.parts.items():
        if misfit := _misfit(name, shapes[name], part):
            raise InputError(misfit.sentence(checkpoint.path))
    for name, part in checkpoint.parts.items():
        state = _read(shapes[name], part, dtype, torch.device(device), FP32 if name == "VAE" else (), on_tensor)
        _fill(name, modules[name], state, torch.device(device))
    if _stamps(checkpoint) != stamps:
        raise InputError(f"{checkpoint.path} changed while it was read; try again.")
    return Models(
        **{name.lower(): module for name, module in modules.items()},
        family=checkpoint.family,
        frames=checkpoint.frames,
        path=checkpoint.path,
        metadata=checkpoint.metadata,
    )


def _build(checkpoint: Checkpoint, ops: Any) -> dict[str, Any]:
    """The networks without weights."""
    own = _build_own(checkpoint, ops)
    with _as_input_error(checkpoint):
        return own | {"CLIP": build_clip(checkpoint.clip.config)}


def _build_own(checkpoint: Checkpoint, ops: Any) -> dict[str, Any]:
    """Those of them that are ours."""
    with _as_input_error(checkpoint), torch.device("meta"):
        return {"UNet": UNet(checkpoint.unet.config, ops), "VAE": VAE(checkpoint.vae.config, ops)}


@contextmanager
def _as_input_error(checkpoint: Checkpoint) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, IndexError, ZeroDivisionError) as error:
        raise InputError(f"{checkpoint.path} describes a network that cannot be built ({error}).") from error


def _stamps(checkpoint: Checkpoint) -> dict[Path, tuple[int, int, int]]:
    """What tells whether a file is still the same, of every file of a checkpoint."""
    found: dict[Path, tuple[int, int, int]] = {}
    for path in {entry.file for part in checkpoint.parts.values() for entry in part.entries.values()}:
        with suppress(FileNotFoundError):
            told = path.stat()
            found[path] = told.st_ino, told.st_mtime_ns, told.st_size
    return found


def _sources(shapes: Shapes, part: Part[Any]) -> Iterator[tuple[str, Source]]:
    """Every tensor of a network, and where it lies."""
    for name, shape in shapes.items():
        yield name, part.naming.source(name, shape)


def _misfit(name: str, shapes: Shapes, part: Part[Any]) -> Misfit | None:
    wanted = {source.key: source.shape for _, source in _sources(shapes, part)}
    there = {key: entry.shape for key, entry in part.entries.items()}
    missing = tuple(key for key in wanted if key not in there)
    unexpected = tuple(key for key in there if key not in wanted)
    misshapen = tuple(
        f"{key} is {_by(there[key])} and should be {_by(shape)}"
        for key, shape in wanted.items()
        if key in there and there[key] != shape
    )
    return Misfit(name, missing, unexpected, misshapen) if missing or unexpected or misshapen else None


def _by(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _read(
    shapes: Shapes,
    part: Part[Any],
    dtype: torch.dtype,
    device: torch.device,
    in_fp32: tuple[str, ...],
    on_tensor: Callable[[], object] | None,
) -> dict[str, Tensor]:
    """A network's weights, read in the order they lie on the disk. in_fp32: how names begin that take no `dtype`."""
    state: dict[str, Tensor] = {}
    order = sorted(
        _sources(shapes, part), key=lambda item: (part.entries[item[1].key].file, part.entries[item[1].key].start)
    )
    with ExitStack() as stack:
        paths = {part.entries[source.key].file for _, source in order}
        try:
            files = {path: stack.enter_context(open(path, "rb")) for path in paths}
        except FileNotFoundError as error:
            raise InputError(f"{error.filename} changed while it was read; try again.") from error

        def read(source: Source) -> Tensor:
            entry = part.entries[source.key]
            return read_tensor(files[entry.file], source.key, entry, source.third)

        tensors = read_ahead(partial(read, source) for _, source in order)
        for (name, source), tensor in zip(order, tensors, strict=True):
            wanted = torch.float32 if name.startswith(in_fp32) else dtype
            if on_tensor:
                on_tensor()
            where = f"{part.entries[source.key].file}: '{source.key}'"
            state[name] = _convert(tensor.to(device), wanted, where, source.transposed, shapes[name])
    return state


def _fill(name: str, network: nn.Module, state: dict[str, Tensor], device: torch.device) -> None:
    """Assigns a network's weights. They are whole and fit, so what fails here is no fault of the file."""
    try:
        network.load_state_dict(state, strict=True, assign=True)
        empty = next((key for key, tensor in network.state_dict().items() if tensor.is_meta), None)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise LayersError(_layers_sentence(name, f"{error}".strip().split("\n")[-1].strip())) from error
    if empty is not None:
        raise LayersError(_layers_sentence(name, f"{empty} is still empty"))
    network.requires_grad_(False).eval().to(device)  # what is left to move is CLIP's position_ids


def _layers_sentence(name: str, why: str) -> str:
    return (
        f"The {name} did not take its weights ({why[:200]}). The checkpoint fits, so this is no fault of the file but "
        "of svd-nodes with the layers that this host gave it: please report it with the versions of both."
    )


def _convert(tensor: Tensor, dtype: torch.dtype, where: str, transposed: bool, shape: tuple[int, ...]) -> Tensor:
    """Casts, checks and lays out one weight."""
    result = tensor.to(dtype)
    if not is_finite(result):
        if is_finite(tensor):
            raise InputError(f"{where} holds numbers too large for {str(dtype)[6:]}; load it in bf16 or fp32.")
        raise InputError(
            f"{where} holds NaN or infinity, so the file is damaged or badly converted; download it again."
        )
    result = (result.T if transposed else result).reshape(shape)
    return result.contiguous(memory_format=torch.channels_last if result.ndim == 4 else torch.contiguous_format)
