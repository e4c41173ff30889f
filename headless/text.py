"""Texts of unknown origin, made fit to be shown: a title or a file name may hold what a terminal obeys."""

import unicodedata

UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode's categories: controls, half characters, separators of lines
DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they reorder what is beside


def _is_unprintable(letter: str) -> bool:
    return unicodedata.category(letter) in UNPRINTABLE or letter in DIRECTIONS


def printable(text: object) -> str:
    """Text of any origin (a file's name, a node's title, a server's word) as one line for a terminal.

    What a terminal would obey or could not show becomes an escape, "\\x1b" say. So does the end of a line: split text
    of several lines first.
    """
    return "".join(
        letter.encode("unicode_escape").decode() if _is_unprintable(letter) else letter for letter in str(text)
    )


def fileable(text: str) -> str:
    """For the name of a file, with _ for each letter that cannot be shown."""
    return "".join("_" if _is_unprintable(letter) else letter for letter in text)


def shortened(text: object, most: int = 80) -> str:
    """As `printable`, cut off where it is longer than anybody reads."""
    shown = printable(str(text)[: 4 * most])
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."
