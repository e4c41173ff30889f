"""What a run will need and what a checkpoint is good at: the editor's page asks, and shows it on the nodes."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ..svd.checkpoint import Checkpoint, open_checkpoint
from ..svd.config import UNetConfig, VAEConfig
from ..svd.decoding import whole
from ..svd.errors import InputError
from ..svd.recommended import recommended
from . import check, host, memory, shortage
from .host import Work
from .load import PRECISIONS

NUMBERS = {  # with their least and their most
    "width": (8, 8192), "height": (8, 8192), "frames": (1, 1024), "steps": (1, 1000), "frames_per_chunk": (1, 1024),
}  # fmt: skip


def estimate(asked: Mapping[str, str]) -> dict[str, Any]:
    """Bytes and seconds of sampling and decoding one clip, None where they cannot be known.

    asked: `checkpoint`, `precision`, `memory`, the NUMBERS, and `guided`, "0" where every frame's guidance is 1.
    InputError on settings with which no run could start.
    """
    size = {name: _number(asked, name, *limits) for name, limits in NUMBERS.items()}
    checkpoint = _opened(host.checkpoint_path(asked.get("checkpoint", "")))
    check.require_choice("precision", asked.get("precision"), PRECISIONS)
    check.require_choice("memory", asked.get("memory"), memory.MODES)
    dtype = host.precision(asked["precision"])
    mode = memory.choose(asked["memory"], checkpoint, dtype.itemsize, host.free_memory())
    width, height, frames = size["width"], size["height"], size["frames"]
    decoding = decoding_work(checkpoint.vae.config, dtype, frames, height, width)
    passes = 1 if asked.get("guided") == "0" else 2
    together = passes if mode == "fast" else 1
    unet, place = checkpoint.unet.config, (height // 8, width // 8)
    return {
        "card": host.device_memory(),
        "memory": mode,
        "together": together,
        "weights": checkpoint.unet.parameters * dtype.itemsize,
        "sampling": memory.sampling(unet, together * frames, *place, dtype.itemsize),
        "sampling_seconds": host.seconds_for(sampling_work(unet, dtype, passes * frames, *place, size["steps"])),
        "decoding_seconds": host.seconds_for(decoding),
        **_decoding(checkpoint.vae.config, mode, size, dtype.itemsize),
    }


def best_of(asked: Mapping[str, str]) -> dict[str, Any]:
    """The settings that `checkpoint` is at its best with, as `Recommended` has them. InputError where it is none."""
    return asdict(recommended(_opened(host.checkpoint_path(asked.get("checkpoint", "")))))


def _decoding(config: VAEConfig, mode: str, size: Mapping[str, int], itemsize: int) -> dict[str, int | None]:
    """Bytes of decoding a chunk: the least, in pieces, and the most, where there is room to decode it whole.

    Only fast takes that room; on a CPU, whose room is not known, it always does.
    """
    width, height, frames = size["width"], size["height"], size["frames"]

    def least(chunk: int) -> int:
        return memory.decoding(config, chunk, height, width, itemsize)

    def most(chunk: int) -> int:
        return max(least(chunk), whole(config, chunk, height // 8, width // 8, itemsize))

    chunk, card = min(size["frames_per_chunk"], frames), host.device_memory()
    needed = most if mode == "fast" and host.free_memory() is None else least
    return {
        "decoding": needed(chunk),
        "decoding_at_most": most(chunk) if mode == "fast" else needed(chunk),
        "fitting_chunk": card and shortage.most(needed, frames + 1, int(shortage.SHARE * card)),
    }


def sampling_work(config: UNetConfig, dtype: torch.dtype, images: int, height: int, width: int, steps: int = 1) -> Work:
    """In multiplications, within a fifth. `images`: frames through the network in a step; size of the latent.

    A token of a level costs 70 c^2 in a block with transformers (18 for each spatial, 6 for each temporal residual
    block, 18 and 28 for the transformers), and in spatial attention 2 c for every other token.
    """
    total = 0
    for level, channels in enumerate(config.block_out_channels):
        tokens = -(-height // 2**level) * -(-width // 2**level)
        blocks = 2 * config.layers_per_block[level] + 1
        attention = config.down_attention[level]
        per_token = (70 if attention else 24) * channels**2 + 2 * attention * tokens * channels
        total += blocks * tokens * per_token
    return Work(("sampling", config, dtype), float(steps * images * total))


def decoding_work(config: VAEConfig, dtype: torch.dtype, images: int, height: int, width: int) -> Work:
    """In pixels: nearly all of the decoder's work is convolutions."""
    return Work(("decoding", config, dtype), float(images * height * width))


def _number(asked: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = asked.get(name, "")
    digits = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not digits or not least <= int(text) <= most:
        raise InputError(f"{name} is {text[:20]!r}: it must be a whole number between {least} and {most}.")
    return int(text)


ANSWERS: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {"estimate": estimate, "recommended": best_of}
"""What the page may ask, and who answers."""


def _opened(path: Path) -> Checkpoint:
    return _opened_at(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _opened_at(path: Path, changed: int) -> Checkpoint:
    """A checkpoint's header, read once for as long as the file stays as it is."""
    return open_checkpoint(path)
