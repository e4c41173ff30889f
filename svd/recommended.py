"""What a checkpoint is at its best with: sizes, frames, speed, motion, steps, guidance. Needs no torch.

It stands in the file's metadata, as JSON under KEY with the names of `Recommended`'s fields; what a file does not say
is its family's.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .layout import Checkpoint

KEY = "svd_nodes.recommended"
TITLE = "modelspec.title"
SCHEDULES = ("karras", "align-your-steps")
GRID = 64  # what the sides of training's sizes are multiples of
FAR = 1.5  # times the recommended motion or guidance, a clip begins to suffer


@dataclass(frozen=True)
class Recommended:
    """The settings a checkpoint is at its best with. The size in pixels; on its side it is as good."""

    width: int = 1024
    height: int = 576
    frames: int | None = None  # None: it is not known
    fps: float = 7.0
    motion_bucket_id: int = 127
    steps: int = 25
    schedule: str = "karras"
    min_guidance: float = 1.0
    max_guidance: float = 3.0
    always: str | None = None
    """A model's name, if fps and motion bucket were always these in its training."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a clip that stands or lies as a picture of this size does. A square one: as trained."""
        if width == height:
            return self.width, self.height
        return max(self.sizes) if width > height else min(self.sizes)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(width, height) as trained, and on its side where that is another."""
        return tuple(dict.fromkeys(((self.width, self.height), (self.height, self.width))))


NANO = Recommended(width=256, height=256, frames=14, motion_bucket_id=70, steps=12, max_guidance=2.0)
TITLES = {"svd-nano": NANO}
XT_1_1 = re.compile(r"xt[_.-]?1[_.-]1", re.IGNORECASE)  # in the name of a file or folder

LIMITS: dict[str, Callable[[Any], bool]] = {
    **{side: lambda value: _whole(value, 8, 8192) and value % 8 == 0 for side in ("width", "height")},
    "frames": lambda value: _whole(value, 1, 1024),
    "fps": lambda value: _number(value, 1, 120),
    "motion_bucket_id": lambda value: _whole(value, 0, 1023),
    "steps": lambda value: _whole(value, 1, 1000),
    "schedule": lambda value: value in SCHEDULES,
    "min_guidance": lambda value: _number(value, 0, 100),
    "max_guidance": lambda value: _number(value, 0, 100),
}


def recommended(checkpoint: "Checkpoint") -> Recommended:
    """From the file's metadata, else from its family. What a file says that cannot be is passed over."""
    family = TITLES.get(checkpoint.metadata.get(TITLE, ""))
    if family is None:
        is_xt_1_1 = XT_1_1.search(checkpoint.path.name)
        family = Recommended(fps=6.0, always="SVD-XT 1.1") if is_xt_1_1 else Recommended()
    best = replace(family, frames=checkpoint.frames or family.frames)
    return replace(best, **_told(checkpoint.metadata))


def _told(metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a file's metadata recommend, as far as it can be heeded."""
    try:
        told = json.loads(metadata.get(KEY, "{}"))
    except (ValueError, RecursionError):  # a whole number of too many digits is a ValueError
        return {}
    if not isinstance(told, dict):
        return {}
    return {name: told[name] for name, fits in LIMITS.items() if name in told and fits(told[name])}


def _whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


WORDS = {
    "off_grid": "Multiples of 64 work best: {width} × {height}.",
    "off_size": "This checkpoint is at its best at {sizes}.",
    "off_frames": "This checkpoint was trained on {frames} frames.",
    "off_fps": "{model} was trained with fps {fps} only.",
    "off_bucket": "{model} was trained with motion bucket {bucket} only.",
    "off_both": "{model} was trained with fps {fps} and motion bucket {bucket} only.",
    "off_motion": "This checkpoint is at its best with motion buckets around {bucket}.",
    "off_guidance": "This checkpoint is at its best with guidance up to {guidance}.",
    "off_steps": "This checkpoint is at its best with about {steps} steps.",
}
"""What is said of settings that are legal, but away from what a checkpoint is good at; as in web/svd/words.js.

web/svd/recommended.js says it in the editor, as the functions below do."""


def off_size(best: Recommended, width: int, height: int) -> str | None:
    """A size off the grid, or of less than half or more than twice the pixels."""
    trained = best.width * best.height
    if not trained / 2 <= width * height <= trained * 2:
        sizes = " or ".join(f"{width} × {height}" for width, height in best.sizes)
        return WORDS["off_size"].format(sizes=sizes)
    if width % GRID or height % GRID:
        wide, high = (max(GRID, (side + GRID // 2) // GRID * GRID) for side in (width, height))
        return WORDS["off_grid"].format(width=wide, height=high)
    return None


def off_frames(best: Recommended, frames: int) -> str | None:
    if best.frames is None or frames == best.frames:
        return None
    return WORDS["off_frames"].format(frames=best.frames)


def off_motion(best: Recommended, fps: float, motion_bucket_id: float) -> str | None:
    """fps and bucket of a model that knows one of each; else a bucket that is far above what is good."""
    if best.always:
        off = (fps != best.fps, motion_bucket_id != best.motion_bucket_id)
        word = {(True, True): "off_both", (True, False): "off_fps", (False, True): "off_bucket"}.get(off)
        fixed = {"model": best.always, "fps": f"{best.fps:g}", "bucket": best.motion_bucket_id}
        return WORDS[word].format(**fixed) if word else None
    if not _far_above(best.motion_bucket_id, motion_bucket_id):
        return None
    return WORDS["off_motion"].format(bucket=best.motion_bucket_id)


def off_guidance(best: Recommended, max_guidance: float) -> str | None:
    if not _far_above(best.max_guidance, max_guidance):
        return None
    return WORDS["off_guidance"].format(guidance=f"{best.max_guidance:g}")


def off_steps(best: Recommended, steps: int, schedule: str) -> str | None:
    """Fewer than half the steps. Of another schedule than the recommended one it is not known."""
    if schedule != best.schedule or 2 * steps >= best.steps:
        return None
    return WORDS["off_steps"].format(steps=best.steps)


def _far_above(best: float, value: float) -> bool:
    return value > best and value >= FAR * best
