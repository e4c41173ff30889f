"""Safetensors files, one tensor at a time: the header without the numbers, one tensor, and an atomic write.

The format is eight bytes that give the header's length, the header (JSON), and the numbers. They are read into memory
that is ours, never mapped: loading holds no more than the model and a few tensors, a file that is cut while it is read
is a sentence and not the end of the process, and the file may be replaced afterwards. So the header is checked here and
not by the safetensors library, which maps the file to look at it.
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
from torch import Tensor

from .errors import InputError, shown

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
BITS = {  # of one number, of every kind that the format knows
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
MOST_HEADER = 16 << 20  # bytes; SVD's own has 400,000
MOST_NAME, MOST_SIDES, MOST_SIDE = 1024, 16, 1 << 63  # of a tensor; more is damage
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


Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class TensorFile:
    """The header of one file, and what tells whether the file is still the same."""

    path: Path
    entries: dict[str, Entry]
    metadata: dict[str, str]
    stamp: Stamp


def stamp(told: os.stat_result) -> Stamp:
    """What differs when a file was written again."""
    return told.st_ino, told.st_mtime_ns, told.st_size


def read_header(path: Path) -> TensorFile:
    """Reads which tensors a safetensors file holds, without reading them. Anything else raises InputError."""
    try:
        if not path.is_file():  # a pipe would be waited for
            raise InputError(f"{path} is no file; give a .safetensors file.")
        with open(path, "rb") as file:
            told = os.fstat(file.fileno())
            header, base = _header(path, file, told.st_size)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        metadata = _texts(header.pop("__metadata__", None) or {})
        entries = {name: _entry(path, base, name, info) for name, info in header.items()}
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged: its header is not a safetensors header; download it again.") from error
    if not entries:
        raise InputError(f"{path} holds no tensor; download it again.")
    _check_places(path, entries, base, told.st_size)
    return TensorFile(path, entries, metadata, stamp(told))


def _header(path: Path, file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The header as it is written, and where the numbers begin."""
    first = file.read(64)
    _refuse_other_formats(path, first)
    if size == 0:
        raise InputError(f"{path} is empty; download it again.")
    length = struct.unpack("<Q", first[:8])[0] if size >= 8 else size
    if length > size - 8:
        raise InputError(f"{path} is not a safetensors file, or only the beginning of one; download it again.")
    if length > MOST_HEADER:
        raise InputError(f"{path} is damaged: its header would be {length:,} bytes long; download it again.")
    file.seek(8)
    try:
        header = json.loads(file.read(length).decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a safetensors file: its header is not JSON; download it again.") from error
    if not isinstance(header, dict):
        raise InputError(f"{path} is not a safetensors file: its header is not an object; download it again.")
    return header, 8 + length


def _texts(metadata: Any) -> dict[str, str]:
    """The metadata. TypeError or ValueError if it is no map of texts that can be written again."""
    for text in (*dict(metadata), *dict(metadata).values()):
        if not isinstance(text, str):
            raise TypeError(text)
        text.encode()
    return dict(metadata)


def _entry(path: Path, base: int, name: str, info: Any) -> Entry:
    """One tensor as the header tells it. TypeError, KeyError or ValueError if it is told wrongly."""
    dtype, shape, (start, stop) = info["dtype"], info["shape"], info["data_offsets"]
    plain = all(type(number) is int and 0 <= number < MOST_SIDE for number in (*shape, start, stop))
    if not plain or len(shape) > MOST_SIDES or 8 * (stop - start) != math.prod(shape) * BITS[dtype]:
        raise ValueError(name)
    if len(name.encode()) > MOST_NAME:
        raise ValueError(name)
    return Entry(path, dtype, tuple(shape), base + start, base + stop)


def _check_places(path: Path, entries: Mapping[str, Entry], base: int, size: int) -> None:
    """InputError unless the tensors fill the file from the header to its end, one after the other."""
    end = base
    for entry in sorted(entries.values(), key=lambda entry: (entry.start, entry.stop)):
        if entry.start != end:
            raise InputError(f"{path} is damaged: its header has tensors that overlap, or gaps; download it again.")
        end = entry.stop
    if size < end:
        raise InputError(f"{path} is cut short: it has {size:,} of {end:,} bytes; download it again.")
    if size > end:
        raise InputError(f"{path} is damaged: it has {size:,} bytes where its header tells {end:,}; download it again.")


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
    """Reads one tensor of DTYPES from the open file that holds it, or one third of its rows, in the dtype of the file.

    InputError if the file has become shorter, or the disk fails.
    """
    start, stop, shape = entry.start, entry.stop, entry.shape
    if third is not None:
        size = (stop - start) // 3
        start, stop, shape = start + third * size, start + (third + 1) * size, (shape[0] // 3, *shape[1:])
    data = torch.empty(stop - start, dtype=torch.uint8, device="cpu")
    try:
        file.seek(start)
        count = file.readinto(data.numpy())  # type: ignore[attr-defined]
    except OSError as error:
        raise InputError(f"{entry.file} cannot be read at '{shown(name)}': {error.strerror}.") from error
    if count != stop - start:
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
