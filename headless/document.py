"""JSON from files and films, read with bounds: it may come from anywhere and be anything."""

import json
import math
import os
import re
from pathlib import Path, PurePath
from typing import Any

from ..svd.errors import InputError
from .embedded import embedded, is_media
from .text import shortened

MOST_TEXT = 64 * 2**20  # bytes
DEEPEST = 100  # brackets in brackets; the editor's own files have about ten
DIGITS = 40  # of a number; the largest seed has 20

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read_json(path: Path) -> dict[str, Any]:
    """A workflow file as JSON: text in any Unicode encoding, or a film or picture with a workflow inside.

    Raises:
        InputError: the file is missing, cannot be read, or holds no JSON object.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise InputError(f"The workflow {path} cannot be read: it is no file.")
        with path.open("rb") as file:
            media = is_media(file.read(16))
    except InputError:  # which is a ValueError, too
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"There is no workflow at {path}; check the path.") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The workflow {path} cannot be read: {reason}.") from None
    text = embedded(path) if media else _text(path)
    return parse_json(text, str(path))


def _text(path: Path) -> str:
    if path.stat().st_size > MOST_TEXT:
        raise InputError(f"{path} is not a workflow: it is larger than {MOST_TEXT >> 20} MB; give the .json file.")
    try:
        data = path.read_bytes()
        return data.decode(json.detect_encoding(data))
    except OSError as error:
        raise InputError(f"The workflow {path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a workflow: it holds no text; give the .json file.") from None


def parse_json(text: str, name: str) -> dict[str, Any]:
    """A JSON object. `name` is what messages call it. InputError on anything else, or on more than we bound."""
    shown = shortened(name, 200)
    deep = f"{shown} is not a workflow: its brackets are nested too deep; export it again."
    if _depth(text) > DEEPEST:
        raise InputError(deep)
    try:
        document = json.loads(text.removeprefix("\ufeff"), parse_int=_integer)
    except json.JSONDecodeError as error:
        raise InputError(f"{shown} is not valid JSON ({error.msg} in line {error.lineno}); export it again.") from None
    except OverflowError as error:
        raise InputError(f"{shown} is not a workflow: it holds {error}; export it again.") from None
    except RecursionError:
        raise InputError(deep) from None
    if not isinstance(document, dict) or not document:
        raise InputError(f"{shown} is not a workflow: it holds no nodes; export it again from the editor.")
    return document


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise OverflowError(f"a number of {len(digits):,} digits")
    return int(digits)


def _depth(text: str) -> int:
    """The most brackets that are open at once, those within quotes left out."""
    depth = deepest = 0
    for found in _BRACKETS.finditer(text):
        if found[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in "]}":
            depth -= 1
    return deepest


def strict(value: Any) -> Any:
    """The same without NaN and infinity, which Python writes and no browser reads: null, as a browser writes them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: strict(each) for key, each in value.items()}
    if isinstance(value, list):
        return [strict(each) for each in value]
    return value


def portable(value: Any) -> Any:
    """As `strict`, for what goes into a film: of a file's place on this disk, its name alone."""
    if isinstance(value, str):
        return PurePath(value).name if _is_place(value) else value
    if isinstance(value, dict):
        return {key: portable(each) for key, each in value.items()}
    return [portable(each) for each in value] if isinstance(value, list) else strict(value)


def _is_place(text: str) -> bool:
    """Whether this is the whole path of something that is there."""
    try:
        return len(text) < 4096 and PurePath(text).is_absolute() and os.path.lexists(text)
    except ValueError:  # a zero byte
        return False
