"""When memory runs out: the largest setting that would fit, and the sentence that names it.

A setting fits if its estimate (`memory`) is within a budget. The budget is a little less than the room there was, or a
little less than the estimate itself where the failure has shown that to be too low.
"""

from bisect import bisect_right
from collections.abc import Callable

from ..svd.config import UNetConfig, VAEConfig
from . import memory

SHARE = 0.9  # of the room: the rest is lost between blocks of memory
GRID = 64  # sizes the model is at its best with


def budget(estimate: int, room: int | None) -> int:
    """Bytes that a setting may be estimated at, after one estimated at `estimate` failed. room: None if unknown."""
    return estimate // 2 if room is None else int(SHARE * min(room, estimate))


def most(cost: Callable[[int], int], below: int, bytes: int) -> int:
    """The largest number below `below` whose cost is within `bytes`; 0 if there is none."""
    return bisect_right(range(1, below), bytes, key=cost)


def smaller(cost: Callable[[int, int], int], width: int, height: int, bytes: int) -> tuple[int, int]:
    """The largest size (width, height) of about this shape on the grid that is smaller and fits; else one grid cell."""
    for narrower in range((width - 1) // GRID * GRID, GRID, -GRID):
        lower = max(GRID, int(height * narrower / width) // GRID * GRID)
        if cost(narrower, lower) <= bytes:
            return narrower, lower
    return GRID, GRID


def decoding(config: VAEConfig, frames: int, height: int, width: int, itemsize: int, room: int | None) -> str:
    """`frames`: of the chunk that failed; height and width in pixels."""
    bytes = budget(memory.decoding(config, frames, height, width, itemsize), room)
    if fits := most(lambda n: memory.decoding(config, n, height, width, itemsize), frames, bytes):
        at_once = f"{frames} frames of {width} x {height} at once"
        return f"There is not enough memory to decode {at_once}: set frames_per_chunk to {fits} or lower."
    w, h = smaller(lambda w, h: memory.decoding(config, 1, h, w, itemsize), width, height, bytes)
    return (
        f"There is not enough memory to decode even 1 frame of {width} x {height}: set frames_per_chunk to 1, "
        f"and width and height of Fit Image to {w} x {h} or smaller."
    )


def sampling(
    config: UNetConfig,
    clips: int,
    frames: int,
    height: int,
    width: int,
    itemsize: int,
    together: int,
    room: int | None,
) -> str:
    """height and width of the latent. together: how many of guidance's two halves were run at once."""

    def cost(frames: int, pixels_high: int, pixels_wide: int) -> int:
        return memory.sampling(config, together * clips * frames, pixels_high // 8, pixels_wide // 8, itemsize)

    high, wide = height * 8, width * 8
    bytes = budget(cost(frames, high, wide), room)
    w, h = smaller(lambda w, h: cost(frames, h, w), wide, high, bytes)
    remedies = [f"set width and height of Fit Image to {w} x {h} or smaller"]
    if fits := most(lambda n: cost(n, high, wide), frames, bytes):
        remedies.insert(0, f"set frames to {fits} or lower")
    if clips > 1:
        at_once = max(1, most(lambda n: n * cost(frames, high, wide) // clips, clips, bytes))
        remedies.insert(0, f"give {at_once} picture{'s' * (at_once > 1)} at a time")
    if together > 1:
        remedies.insert(0, "set memory of Load SVD Checkpoint to low")
    several = f"{clips} clips of " if clips > 1 else ""
    return (
        f"There is not enough memory to sample {several}{frames} frames of {wide} x {high}: {', or '.join(remedies)}."
    )


def encoding(config: VAEConfig, pictures: int, height: int, width: int, room: int | None) -> str:
    """Height and width in pixels."""
    bytes = budget(memory.encoding(config, pictures, height, width), room)
    w, h = smaller(lambda w, h: memory.encoding(config, pictures, h, w), width, height, bytes)
    fewer = "" if pictures == 1 else "give fewer pictures, or "
    return (
        f"There is not enough memory to encode {pictures} picture{'s' * (pictures > 1)} of {width} x {height}: "
        f"{fewer}set width and height of Fit Image to {w} x {h} or smaller."
    )


def embedding(room: int | None) -> str:
    return "There is not enough memory to look at the pictures: give fewer of them."
