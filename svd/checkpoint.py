"""From a file to networks: built on the meta device, checked that every tensor has its place, read one by one."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from .clip import build_clip, clip_shapes
from .config import Shapes
from .errors import InputError, LayersError, shown
from .folder import open_folder
from .keymap import Source
from .layout import Checkpoint, Part
from .saving import save
from .single_file import open_file
from .tensorfile import DTYPES, Stamp, is_finite, read_ahead, read_header, read_tensor, stamp
from .unet import UNet
from .vae import VAE

__all__ = ["Checkpoint", "Misfit", "Models", "check", "expected_shapes", "load", "open_checkpoint", "save"]

QUANTISED = (  # how the names end that programs put beside the weights they have made smaller
    *("scale_weight", "weight_scale", "weight_scale_inv", "weight_scale_2", "scale_input", "input_scale"),
    *("comfy_quant", "weight_format", ".SCB", ".absmax", ".quant_map", "quant_state.bitsandbytes__nf4"),
    *(".qweight", ".qzeros", ".scales", "scaled_fp8"),
)
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
    unreadable: tuple[str, ...] = ()  # "name is I8": whole numbers and other kinds that are no plain weights

    def sentence(self, path: Path) -> str:
        """Says all of it, with three examples, and what to do."""
        counts = [
            f"{len(names)} {what}"
            for names, what in (
                (self.missing, "missing"),
                (self.unexpected, "unexpected"),
                (self.misshapen, "of the wrong shape"),
                (self.unreadable, "no plain weights"),
            )
            if names
        ]
        first = (*self.missing[:3], *self.unreadable[:3], *self.misshapen[:3], *self.unexpected[:3])[:3]
        examples = ", ".join(map(shown, first))
        if self.unreadable or any(name.endswith(QUANTISED) for name in self.unexpected):
            looks, advice = "a quantised SVD checkpoint", "get it in fp16 or fp32"
        elif self.unexpected and not self.missing:
            looks, advice = "an SVD checkpoint with something added", "use the checkpoint it was made from"
        else:
            looks, advice = "an incomplete or altered SVD checkpoint", "download it again"
        return (
            f"{path} does not fill the {self.part}: {', '.join(counts)} ({examples}); it looks like {looks}: {advice}."
        )


def open_checkpoint(path: str | Path, variant: str | None = None) -> Checkpoint:
    """Recognises a checkpoint without reading its weights.

    path: a `.safetensors` file, a diffusers folder, or a folder of the Hugging Face cache. variant: of a folder, "fp16"
    say; None takes the plain files, and where there are none the only variant there is. Raises InputError if it is
    missing, damaged, or no SVD checkpoint.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return open_folder(path, variant)
        if not path.exists():
            raise InputError(
                f"{path} does not exist; check the name, or see docs/weights.md for where to get the weights."
            )
        if not path.is_file():  # a pipe would be waited for
            raise InputError(f"{path} is no file and no folder; give a checkpoint such as svd_xt.safetensors.")
    except OSError as error:
        raise InputError(f"{shown(path, 400)} cannot be read: {error.strerror}.") from error
    if variant:
        raise InputError(f"{path} is a single file, which has no variants; leave variant empty (it is {variant!r}).")
    return open_file(read_header(path))


def check(checkpoint: Checkpoint) -> list[Misfit]:
    """What is missing, unexpected, misshapen or quantised in an opened checkpoint, for each network it does not fill.

    `load` asks the same. InputError if a config describes a network that cannot be built.
    """
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
    shapes = expected_shapes(checkpoint)
    for name, part in checkpoint.parts.items():
        if misfit := _misfit(name, shapes[name], part):
            raise InputError(misfit.sentence(checkpoint.path))
    modules = _build(checkpoint, ops)
    for name, part in checkpoint.parts.items():
        files = {path: checkpoint.stamps[path] for path in {entry.file for entry in part.entries.values()}}
        state = _read(shapes[name], part, files, dtype, torch.device(device), FP32 if name == "VAE" else (), on_tensor)
        _fill(name, modules[name], state, torch.device(device))
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
        raise InputError(f"{checkpoint.path} describes a network that cannot be built ({shown(error)}).") from error


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
    unreadable = tuple(
        f"{key} is {part.entries[key].dtype}"
        for key in wanted
        if key in there and part.entries[key].dtype not in DTYPES
    )
    found = missing or unexpected or misshapen or unreadable
    return Misfit(name, missing, unexpected, misshapen, unreadable) if found else None


def _by(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _read(
    shapes: Shapes,
    part: Part[Any],
    stamps: Mapping[Path, Stamp],
    dtype: torch.dtype,
    device: torch.device,
    in_fp32: tuple[str, ...],
    on_tensor: Callable[[], object] | None,
) -> dict[str, Tensor]:
    """A network's weights, read in the order they lie on the disk.

    stamps: of its files, from when it was seen that they hold what is wanted. in_fp32: how names begin that take no
    `dtype`.
    """
    state: dict[str, Tensor] = {}
    order = sorted(
        _sources(shapes, part), key=lambda item: (part.entries[item[1].key].file, part.entries[item[1].key].start)
    )
    with ExitStack() as stack:
        files = {path: stack.enter_context(_same_file(path, before)) for path, before in stamps.items()}

        def read(source: Source) -> Tensor:
            entry = part.entries[source.key]
            return read_tensor(files[entry.file], source.key, entry, source.third)

        tensors = read_ahead(partial(read, source) for _, source in order)
        for (name, source), tensor in zip(order, tensors, strict=True):
            wanted = torch.float32 if name.startswith(in_fp32) else dtype
            if on_tensor:
                on_tensor()
            where = f"{part.entries[source.key].file}: '{shown(source.key)}'"
            state[name] = _convert(tensor.to(device), wanted, where, source.transposed, shapes[name])
    return state


@contextmanager
def _same_file(path: Path, before: Stamp) -> Iterator[BinaryIO]:
    """The file opened, if it was `before` and still is when it has been read. InputError if it is not."""
    try:
        with open(path, "rb") as file:
            same = stamp(os.fstat(file.fileno())) == before
            if same:
                yield file
                same = stamp(path.stat()) == before
    except OSError as error:
        raise InputError(f"{path} cannot be read any more ({error.strerror}); try again.") from error
    if not same:
        raise InputError(f"{path} changed while it was read; try again.")


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
