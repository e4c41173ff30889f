"""The ways a run can fail that have a sentence of their own: what is wrong, and what to do.

A host shows it as it is, without a traceback.
"""

from pathlib import PurePath
from reprlib import repr as repr_of_some


class InputError(ValueError):
    """Something the user gave (a file, a picture, a number) cannot be used. Raised at the border, before any work."""


class NonFiniteError(ArithmeticError):
    """NaN or infinity came out of a network. Raised after the step or chunk it came from, before anything is saved."""


class LayersError(RuntimeError):
    """Layers that a host gave did not take weights that fit. A fault of the pack, never of the file or the user."""


def shown(text: object, most: int = 120) -> str:
    """What a file says, as one line of a sentence: cut to `most` letters, and nothing in it that a terminal obeys.

    A value that is no text (a list in JSON, say) as Python writes it, however deep it is.
    """
    words = str(text) if isinstance(text, str | Exception | PurePath) else repr_of_some(text)
    cut = words if len(words) <= most else f"{words[: most - 3]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in cut)
