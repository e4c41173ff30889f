"""What is installed and what is found, for a report that somebody else has to understand.

Nothing here may fail: what cannot be found out says so in its own line.
"""

import os
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from .tested import TESTED, checkouts, comparison, version_of
from .version import version

if TYPE_CHECKING:
    import torch

PACK = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "triton", "transformers", "safetensors", "av")
FOR_NVIDIA = "the kernels are for NVIDIA cards"

Section = dict[str, str]


def examine(checkpoint_folders: Sequence[Path] = ()) -> dict[str, Section]:
    """Everything, by section: what was looked at, and what it is."""
    sections: dict[str, Callable[[], Section]] = {
        "versions": versions,
        "devices": devices,
        "kernels": kernels,
        "checkpoints": lambda: checkpoints(checkpoint_folders),
        "editor": editor,
    }
    return {name: _section(look) for name, look in sections.items()}


def text(report: dict[str, Section]) -> str:
    """The report for people to read."""
    return "\n\n".join("\n".join(_lines(name, section)) for name, section in report.items())


def versions() -> Section:
    found = {
        "svd-nodes": f"{_line(version)}, in {PACK}",
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    return found | {name: _line(_installed, name) for name in PACKAGES}


def devices() -> Section:
    """The processor, and every card that torch sees."""
    return {"cpu": _line(_processor)} | {str(card): _line(_card, card) for card in _cards()}


def kernels() -> Section:
    """Whether the fast paths are taken. A small kernel is built, which takes seconds the first time on a machine."""
    return {str(card): _line(_kernels, card) for card in _cards()} or {
        "cpu": f"none: {FOR_NVIDIA}, and torch sees none; the plain paths are taken"
    }


def checkpoints(folders: Sequence[Path] = ()) -> Section:
    """What is in the folders where commands look for a checkpoint's name."""
    from ..nodes.host.standalone import default_folders

    found: Section = {}
    for folder in dict.fromkeys((*folders, *default_folders())):
        found |= _checkpoints(folder)
    return found


def editor() -> Section:
    """The editor's versions that the pack is tested with, and those that are here."""
    found = {"tested with": ", ".join(f"ComfyUI {number}" for number in TESTED)}
    return found | {str(folder): _line(_editor, folder) for folder in checkouts()}


def _editor(folder: Path) -> str:
    source = "$COMFYUI_PATH" if os.environ.get("COMFYUI_PATH") else "where comfy-cli puts it"
    if not (folder / "comfyui_version.py").is_file():
        return f"no ComfyUI in it ({source}); COMFYUI_PATH names another folder"
    number = version_of(folder)
    packs = ", ".join(_packs(folder)) or "not in its custom_nodes"
    return f"ComfyUI {number} ({source}): {comparison(number)}; the pack: {packs}"


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    cores = f"{os.cpu_count()} cores"
    if not hasattr(os, "sysconf"):  # Windows
        return cores
    return f"{cores}, {_gib(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))}"


def _cards() -> "list[torch.device]":
    import torch

    cards = [torch.device(kind, n) for kind in ("cuda", "xpu") for n in range(getattr(torch, kind).device_count())]
    return cards + [torch.device("mps")] * torch.backends.mps.is_available()


def _card(card: "torch.device") -> str:
    import torch

    if card.type == "mps":  # it works in main memory
        return f"Apple Metal, {_gib(torch.mps.recommended_max_memory())} at most"
    module = getattr(torch, card.type)
    free, total = module.mem_get_info(card)
    memory = f"{_gib(free)} free of {_gib(total)}"
    if card.type != "cuda" or torch.version.hip is not None:
        return f"{module.get_device_name(card)}, {memory}"
    major, minor = torch.cuda.get_device_capability(card)
    return f"{module.get_device_name(card)}, compute capability {major}.{minor}, {memory}"


def _kernels(card: "torch.device") -> str:
    from ..svd.kernels.choice import is_hopper, obstacle

    why = obstacle(card) if card.type == "cuda" else FOR_NVIDIA
    if why is not None:
        return f"none: {why}; the plain paths are taken"
    return "they are built" + (", and those for Hopper are tried at their first use" if is_hopper(card) else "")


def _checkpoints(folder: Path) -> Section:
    """What is in one folder; that nothing is, under its own name."""
    from ..nodes.host.folders import NO_CHECKPOINT
    from ..nodes.host.standalone import Session, checkpoint_names

    try:
        if not folder.is_dir():
            return {str(folder): "no such folder"}
        with Session((folder,)).active():
            names = [name for name in checkpoint_names() if name != NO_CHECKPOINT]
    except OSError as error:
        return {str(folder): _failure(error)}
    return {str(folder / name): _line(_checkpoint, folder / name) for name in names} or {
        str(folder): "no checkpoint in it"
    }


def _checkpoint(path: Path) -> str:
    from ..svd.errors import InputError
    from .checkpoints import inspect

    try:
        report = inspect(path)
    except InputError as error:
        return f"cannot be used: {error}"
    precisions = ", ".join(dict.fromkeys(part.precision for part in report.parts))
    return " ".join((f"{report.family}, {report.layout}, {precisions}.", *report.missing))


def _packs(editor: Path) -> Iterator[str]:
    """The folders in an editor that hold this pack."""
    for project in sorted((editor / "custom_nodes").glob("*/pyproject.toml")):
        if project.parent.suffix == ".disabled" or not project.is_file():
            continue
        if 'name = "svd-nodes"' in project.read_text(encoding="utf-8", errors="replace"):
            yield str(project.parent)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _lines(name: str, section: Section) -> list[str]:
    width = min(16, max(map(len, section)))  # a path is longer, and stands for itself
    return [name] + [f"  {key:<{width}}  {value}" for key, value in section.items()]


def _section(look: Callable[[], Section]) -> Section:
    try:
        return look()
    except Exception as error:
        return {"all": _failure(error)}


def _line(look: Callable[..., str], *given: object) -> str:
    """What `look` finds, in one line; else that it could not be found out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the line itself says what is wrong
            return " ".join(look(*given).split())
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> str:
    """A broken installation raises anything, and is what the report is for."""
    return " ".join(f"not found out ({type(error).__name__}: {error})".split())
