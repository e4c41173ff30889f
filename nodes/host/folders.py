"""Finding checkpoints in folders: the same rule under every host."""

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePath

from ...svd.errors import InputError

NO_CHECKPOINT = "(no checkpoint found: put svd_xt.safetensors in models/checkpoints)"
"""The only entry of the checkpoint list on a fresh install."""

MODEL_PAGE = "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt"
"""Where svd_xt.safetensors is, and its licence."""

PACK_CHECKPOINTS = Path(__file__).resolve().parents[2] / "assets" / "checkpoints"
"""The pack's own checkpoints, searched under every host."""


def comfy_cli_folder() -> Path | None:
    """Where comfy-cli puts the editor; None for a user without a home, as in many a container."""
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


def default_folders() -> tuple[Path, ...]:
    """Where checkpoints are looked for without an editor: here, in the pack, where comfy-cli installs the editor."""
    here, editor = Path("models") / "checkpoints", comfy_cli_folder()
    return (here, PACK_CHECKPOINTS, *([editor / here] if editor else []))


def names_in(roots: Iterable[Path]) -> list[str]:
    """Every checkpoint in these folders, by the name that `find_checkpoint` knows; NO_CHECKPOINT if there is none."""
    there = [root for root in roots if root.is_dir()]
    files = [name for root in there for name in safetensors_files(root)]
    return checkpoint_list(files, [name for root in there for name in diffusers_folders(root)])


def find_checkpoint(name: str, roots: Sequence[Path]) -> Path:
    """The file or folder behind a path, or else behind a name in one of the folders. InputError if there is none.

    A workflow from Windows has backslashes between folders, which elsewhere may be a part of a file's name.
    """
    for spelling in spellings(name):
        for path in (Path(spelling), *(root / spelling for root in roots)):
            if name and os.path.exists(path):  # False where the name is too long for a file, too
                return path
    searched = ", ".join(dict.fromkeys(str(root) for root in roots))
    if name == NO_CHECKPOINT:
        raise InputError(f"There is no checkpoint yet: put svd_xt.safetensors in one of these folders: {searched}.")
    close = _closest(name, names_in(roots))
    raise InputError(
        f"There is no checkpoint called {name!r}: {f'did you mean {close}? Else ' if close else ''}give a path, or put "
        f"it in one of these folders: {searched}."
    )


def _closest(name: str, names: Iterable[str]) -> str | None:
    """The name that this one was meant to be, by all but its ending, which many share."""
    stems = {PurePath(known).stem.casefold(): known for known in names if known != NO_CHECKPOINT}
    found = get_close_matches(PurePath(name).stem.casefold(), stems, n=1, cutoff=0.8)
    return stems[found[0]] if found else None
