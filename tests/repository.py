"""The repository as others get it."""

import shutil
import subprocess
from pathlib import Path

from tiny_files import ROOT

SHIPPED = ("assets", "headless", "locales", "nodes", "subgraphs", "svd", "web", "workflows")
"""The folders that every copy of the pack has, whole."""


def repository_files() -> list[str]:
    """What is in the repository, or would be after `git add`."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def shipped_files() -> set[str]:
    """What every copy of the pack must hold."""
    return {name for name in repository_files() if name.split("/")[0] in SHIPPED}


def copy_of_the_repository(folder: Path) -> Path:
    """A clone with everything that is not ignored in it, committed or not."""
    for name in repository_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder
