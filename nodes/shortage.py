"""When memory runs out: the largest setting that would fit, and the sentence that names it.

A setting fits if its estimate (`memory`) is within a budget. The budget is a little less than the room there was, or a
little less than the estimate itself where the failure has shown that to be too low. Nothing is advised that is set
already, or that would not help.
"""

from bisect import bisect_right
from collections.abc import Callable

from ..svd.config import UNetConfig, VAEConfig
from . import memory

SHARE = 0.9  # of the room: the rest is lost between blocks of memory
GRID = 64  # sizes the model is at its best with
LOW = "set memory of Load SVD Checkpoint to low"


def budget(estimate: int, room: int | None) -> int:
    """Bytes that a setting may be estimated at, after one estimated at `estimate` failed. room: None if unknown."""
    return estimate // 2 if room is None else int(SHARE * min(room, estimate))


def most(cost: Callable[[int], int], below: int, bytes: int) -> int:
    """The largest number below `below` whose cost is within `bytes`; 0 if there is none."""
    return bisect_right(range(1, below), bytes, key=cost)


def smaller(cost: Callable[[int, int], int], width: int, height: int, bytes: int) -> tuple[int, int] | None:
    """The largest size (width, height) of about this shape on the grid that is smaller and fits.

    Where none fits, the smallest of them; None where the grid has none that is smaller.
    """
    longer = max(width, height)
    sizes = [
        (max(GRID, width * side // longer // GRID * GRID), max(GRID, height * side // longer // GRID * GRID))
        for side in range((longer - 1) // GRID * GRID, 0, -GRID)
    ]
    sizes = [(w, h) for w, h in sizes if w <= width and h <= height]
    return next((size for size in sizes if cost(*size) <= bytes), sizes[-1] if sizes else None)


def decoding(
    config: VAEConfig, frames: int, height: int, width: int, itemsize: int, low: bool, room: int | None
) -> str:
    """`frames`: of the chunk that failed; height and width in pixels. low: whether the memory mode of it would help."""
    bytes = budget(memory.decoding(config, frames, height, width, itemsize), room)
    remedies = [LOW] if low else []
    if fits := most(lambda n: memory.decoding(config, n, height, width, itemsize), frames, bytes):
        at_once = f"{frames} frames of {width} x {height} at once"
        return _sentence(f"decode {at_once}", [*remedies, f"set frames_per_chunk to {fits} or lower"])
    size = _size(lambda w, h: memory.decoding(config, 1, h, w, itemsize), width, height, bytes)
    if size and frames > 1:
        size = [size[0].replace("set", "set frames_per_chunk to 1, and", 1)]
    return _sentence(f"decode even 1 frame of {width} x {height}", remedies + size)


def sampling(
    config: UNetConfig,
    clips: int,
    frames: int,
    height: int,
    width: int,
    itemsize: int,
    together: int,
    low: bool,
    room: int | None,
) -> str:
    """height and width of the latent. together: how many of guidance's two halves were run at once. low: whether the
    memory mode of it would help.
    """

    def cost(frames: int, pixels_high: int, pixels_wide: int) -> int:
        return memory.sampling(config, together * clips * frames, pixels_high // 8, pixels_wide // 8, itemsize)

    high, wide = height * 8, width * 8
    bytes = budget(cost(frames, high, wide), room)
    remedies = [LOW] if low else []
    if clips > 1:
        at_once = max(1, most(lambda n: n * cost(frames, high, wide) // clips, clips, bytes))
        remedies.append(f"give {at_once} picture{'s' * (at_once > 1)} at a time")
    if fits := most(lambda n: cost(n, high, wide), frames, bytes):
        remedies.append(f"set frames to {fits} or lower")
    remedies += _size(lambda w, h: cost(frames, h, w), wide, high, bytes)
    many = f"{clips} clips of " if clips > 1 else ""
    return _sentence(f"sample {many}{frames} frame{'s' * (frames > 1)} of {wide} x {high}", remedies)


def encoding(config: VAEConfig, height: int, width: int, low: bool, room: int | None) -> str:
    """Of one picture; height and width in pixels. low: whether the memory mode of it would help."""
    bytes = budget(memory.encoding(config, height, width), room)
    size = _size(lambda w, h: memory.encoding(config, h, w), width, height, bytes)
    return _sentence(f"encode a picture of {width} x {height}", ([LOW] if low else []) + size)


def embedding(low: bool, room: int | None) -> str:
    return _sentence("look at the picture", [LOW] if low else [])


def _size(cost: Callable[[int, int], int], width: int, height: int, bytes: int) -> list[str]:
    """The remedy that is a smaller size, if there is one."""
    size = smaller(cost, width, height, bytes)
    return [f"set width and height of Fit Image to {size[0]} x {size[1]} or smaller"] if size else []


def _sentence(work: str, remedies: list[str]) -> str:
    remedies = remedies or ["end what else takes memory, as no setting of this node needs less"]
    return f"There is not enough memory to {work}: {', or '.join(remedies)}."
