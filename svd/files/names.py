"""How unfinished work is called: what has such a name is ours, and nobody's result."""

import re
from pathlib import Path

PREFIX, SUFFIX = ".svd-nodes-", ".part"
NAME = re.compile(re.escape(PREFIX) + r"\w{8,}" + re.escape(SUFFIX))

NEW, OLD, LOCK, JOURNAL, CLAIM = "new", "old", "lock", "journal.json", "claim"  # in a staging folder


def is_staging(path: Path) -> bool:
    """Whether this is a staging folder, living or left behind."""
    return bool(NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()


def is_plain(name: str) -> bool:
    """Whether this is a name and no way to somewhere else."""
    return name == Path(name).name and name not in ("", "..")
