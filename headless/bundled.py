"""The pack's own workflows, which commands know by name."""

import os
from difflib import get_close_matches
from pathlib import Path

from ..svd.errors import InputError

HERE = {
    "quickstart": "a first video, 14 frames of 256 x 256, with the miniature that ships with the pack",
    "compare_motion": "one picture with four motion buckets, side by side; the same miniature",
    "image_to_video": "25 frames of 1024 x 576 in 25 steps; needs svd_xt.safetensors",
    "image_to_video_10_steps": "the same in 10 steps, Align Your Steps",
}
IN_THE_EDITOR = {
    "text_to_video": "core's text-to-image, then a video; needs sd_xl_base_1.0.safetensors as well",
    "from_core": "core's SVD graph and ours, the same settings in both; needs svd_xt.safetensors",
}
"""They hold nodes that an editor alone has, so that `queue` takes them and `run` does not."""


def listed() -> str:
    """Every workflow with a line on it, for people to read."""
    width = max(map(len, HERE | IN_THE_EDITOR))
    lines = [f"{name:<{width}}  {line}" for name, line in HERE.items()]
    lines += [f"{name:<{width}}  {line} (queue alone: in a running editor)" for name, line in IN_THE_EDITOR.items()]
    return "\n".join(lines)


def check_workflow(path: Path) -> None:
    """InputError, with the nearest name, where this is neither a file nor one of these names."""
    names = {name.casefold(): name for name in HERE | IN_THE_EDITOR}
    if str(path) in names.values() or os.path.exists(path):  # False where the name is too long for a file, too
        return
    if close := get_close_matches(path.stem.casefold(), names, n=1, cutoff=0.7):
        way = f"did you mean {names[close[0]]}?"
    else:
        way = "check the path, or see `svd-nodes workflows`."
    raise InputError(f"There is no workflow at {path}; {way}")
