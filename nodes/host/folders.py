"""Finding checkpoints in folders: the same rule under every host."""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path, PurePath

NO_CHECKPOINT = "(no checkpoint found: put svd_xt.safetensors in models/checkpoints)"
"""The only entry of the checkpoint list on a fresh install."""

MODEL_PAGE = "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt"
"""Where svd_xt.safetensors is, and its licence."""

PACK_CHECKPOINTS = Path(__file__).resolve().parents[2] / "assets" / "checkpoints"
"""The pack's own checkpoints, searched under every host."""


def comfy_cli_folder() -> Path | None:
    """Where comfy-cli puts the editor; None where there is no home, as in many a container."""
    try:
        home = Path.home()
    except RuntimeError:
        return None
    return (home if sys.platform.startswith("linux") else home / "Documents") / "comfy" / "ComfyUI"


def spellings(name: str) -> list[str]:
    """A name with its folders as it is, as Linux writes them, and as Windows does: workflows travel."""
    return list(dict.fromkeys((name, name.replace("\\", "/"), name.replace("/", "\\"))))


def fingerprint(path: Path) -> str:
    """Of a file, or of all in a folder: differs when one was replaced. It names no place on the disk, as the editor
    writes it into every film."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    told = [(str(file.relative_to(path)), file.stat().st_mtime_ns, file.stat().st_size) for file in files]
    return hashlib.sha256(repr(told).encode()).hexdigest()


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
