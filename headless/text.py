"""Texts of unknown origin, made fit to be shown: a title or a file name may hold what a terminal obeys."""

import re

# Control characters, halves of characters, line separators, and what turns the direction of writing.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object) -> str:
    """One line without control characters; each is shown as �."""
    return _UNSHOWN.sub("\ufffd", str(text))


def fileable(text: str) -> str:
    """As `printable`, for the name of a file, with _ for each."""
    return _UNSHOWN.sub("_", text)


def shortened(text: object, most: int = 80) -> str:
    """As `printable`, cut off where it is longer than anybody reads."""
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."
