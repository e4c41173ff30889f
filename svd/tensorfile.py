"""Safetensors files, one tensor at a time: the header without the numbers, one tensor, and an atomic write.

The format is eight bytes that give the header's length, the header (JSON), and the numbers. They are read into memory
that is ours, not mapped, so that loading never holds more than the model and one tensor, and the file may be replaced
afterwards.
"""

import json
import math
import os
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .errors import InputError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
PICKLES = {".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"}
OTHER_FORMATS = {  # how a file begins -> what it is
    b"PK\x03\x04": "pickle",
    b"\x80": "pickle",
    b"GGUF": "a GGUF file",
    b"<": "a web page, saved in the weights' place",
    b"version https://git-lfs": "a Git LFS pointer, which only says where the weights are",
}


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: `dtype` as the format writes it, `start` and `stop` in bytes from the file's beginning."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class TensorFile:
    """The header of one file."""

    path: Path
    entries: dict[str, Entry]
    metadata: dict[str, str]


def read_header(path: Path) -> TensorFile:
    """Reads which tensors a safetensors file holds, without reading them. Anything else raises InputError."""
    if not _is_utf8(path):
        raise InputError(f"{str(path)!r} has a name that is not UTF-8; rename it.")
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            header = _header(path, file, size)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    base, metadata = header.pop("", 0), header.pop("__metadata__", None) or {}
    try:
        entries = {
            name: Entry(path, info["dtype"], tuple(info["shape"]), *(base + offset for offset in info["data_offsets"]))
            for name, info in header.items()
        }
    except (TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: its header is not a safetensors header; download it again.") from error
    wanted = max((entry.stop for entry in entries.values()), default=base)
    if size < wanted:
        raise InputError(f"{path} is cut short: it has {size:,} of {wanted:,} bytes; download it again.")
    try:
        with safe_open(path, "pt"):  # the library's own checks: offsets without gaps, sizes that match the shapes
            pass
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}); download it again.") from error
    return TensorFile(path, entries, metadata)


def _is_utf8(path: Path) -> bool:
    """Whether the library can be given the name."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def _header(path: Path, file: BinaryIO, size: int) -> dict[str, Any]:
    """The header as it is written, and under "" where the numbers begin."""
    first = file.read(64)
    _refuse_other_formats(path, first)
    if size == 0:
        raise InputError(f"{path} is empty; download it again.")
    length = struct.unpack("<Q", first[:8])[0] if size >= 8 else size
    if length > size - 8:
        raise InputError(f"{path} is not a safetensors file, or only the beginning of one; download it again.")
    file.seek(8)
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a safetensors file: its header is not JSON; download it again.") from error
    if not isinstance(header, dict):
        raise InputError(f"{path} is not a safetensors file: its header is not an object; download it again.")
    return {**header, "": 8 + length}


def _refuse_other_formats(path: Path, first: bytes) -> None:
    """One sentence for a file that begins like something else, or is named like a pickle without being safetensors."""
    looks_right = first[8:9] == b"{"
    kind = next((kind for magic, kind in OTHER_FORMATS.items() if first.startswith(magic)), None)
    if looks_right or (kind is None and path.suffix.lower() not in PICKLES):
        return
    if kind in ("pickle", None):
        raise InputError(
            f"{path} is a pickle, a kind of file that can run any code when it is opened, so it is not opened; get the "
            "safetensors version, or convert it where you trust it."
        )
    raise InputError(f"{path} is {kind}; get the safetensors file.")


def read_tensor(file: BinaryIO, name: str, entry: Entry, third: int | None = None) -> Tensor:
    """Reads one tensor from the open file that holds it, or one third of its rows, in the dtype of the file."""
    if entry.dtype not in DTYPES:
        raise InputError(
            f"{entry.file} stores '{name}' as {entry.dtype}, which is no plain weight; get the model in fp16 or fp32."
        )
    start, stop, shape = entry.start, entry.stop, entry.shape
    if third is not None:
        size = (stop - start) // 3
        start, stop, shape = start + third * size, start + (third + 1) * size, (shape[0] // 3, *shape[1:])
    data = torch.empty(stop - start, dtype=torch.uint8, device="cpu")
    file.seek(start)
    if file.readinto(data.numpy()) != stop - start:  # type: ignore[attr-defined]
        raise InputError(f"{entry.file} changed while it was read; try again.")
    return data.view(DTYPES[entry.dtype]).reshape(shape)


def read_ahead(work: Iterable[Callable[[], Tensor]], ahead: int = 3) -> Iterator[Tensor]:
    """The results of `work` in order, each read by a thread while the caller is busy with those before it."""
    with ThreadPoolExecutor(1) as reader:  # one: it reads a file from front to back
        waiting: deque[Future[Tensor]] = deque()
        for job in work:
            waiting.append(reader.submit(job))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def is_finite(tensor: Tensor) -> bool:
    """Whether no number is NaN or infinite, in one pass that copies nothing."""
    if tensor.dtype.itemsize == 1:  # fp8 has no min and max
        tensor = tensor.float()
    return tensor.numel() == 0 or all(bound.isfinite() for bound in torch.aminmax(tensor))


@dataclass(frozen=True)
class Planned:
    """One tensor to write, made only when its turn comes."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]


def write_tensors(path: Path, tensors: Mapping[str, Planned], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file, one tensor in memory at a time. Not atomic: the caller gives a temporary name."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    order = sorted(tensors, key=lambda key: (-tensors[key].dtype.itemsize, key))  # wide numbers first keeps all aligned
    offset = 0
    for key in order:
        planned = tensors[key]
        size = math.prod(planned.shape) * planned.dtype.itemsize
        header[key] = {
            "dtype": names[planned.dtype],
            "shape": list(planned.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for key in order:
            planned = tensors[key]
            tensor = planned.make().to("cpu", planned.dtype).reshape(planned.shape).contiguous()
            file.write(tensor.reshape(-1).view(torch.uint8).numpy().data)
