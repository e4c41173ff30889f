"""Which version this is."""

import tomllib
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def version() -> str:
    """The version that pyproject.toml states, in a clone and in the editor's folder.

    An installed wheel has no such file; its metadata were made of it. A clone's are as old as its last installation.
    """
    if PROJECT.is_file():
        return str(tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"])
    return metadata.version("svd-nodes")
