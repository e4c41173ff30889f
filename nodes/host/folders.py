"""Finding checkpoints in folders: the same rule under every host."""

from collections.abc import Iterable
from pathlib import Path, PurePath

NO_CHECKPOINT = "(no checkpoint found: put svd_xt.safetensors in models/checkpoints)"
"""The only entry of the checkpoint list on a fresh install."""

MODEL_PAGE = "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt"
"""Where svd_xt.safetensors is, and its licence."""

PACK_CHECKPOINTS = Path(__file__).resolve().parents[2] / "assets" / "checkpoints"
"""The pack's own checkpoints, searched under every host."""


def diffusers_folders(root: str | Path) -> list[str]:
    """Folders in diffusers' layout up to two levels below `root` (`name` or `author/name`), relative to it."""
    found = [path for pattern in ("*/model_index.json", "*/*/model_index.json") for path in Path(root).glob(pattern)]
    return [str(path.parent.relative_to(root)) for path in found]


def safetensors_files(root: str | Path) -> list[str]:
    """Every `.safetensors` file below `root`, relative to it."""
    return [str(path.relative_to(root)) for path in Path(root).rglob("*.safetensors")]


def checkpoint_list(files: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Files and diffusers folders as one sorted list, without the files that are parts of a folder."""
    whole = set(folders)
    single = {name for name in files if not whole & {str(parent) for parent in PurePath(name).parents}}
    return sorted(single | whole, key=str.lower) or [NO_CHECKPOINT]
