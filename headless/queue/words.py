"""What others have written, made fit to be shown: the server's words, names and pages never steer a terminal."""

import re
import unicodedata

SHOWN = 200  # characters of an answer nobody expected
LOOKED_AT = 8192  # bytes of it


def plain(words: object) -> str:
    """Without what a terminal would obey: only what can be seen is left, spaces, and ends of lines."""
    return "".join(c for c in str(words) if c == "\n" or not unicodedata.category(c).startswith("C"))


def one_line(words: object) -> str:
    return " ".join(plain(str(words).replace("\n", " ")).split())


def excerpt(body: bytes) -> str:
    """The beginning of an answer's words, on one line and without the marks of a web page.

    It is read as UTF-8 whatever it says of itself: some names of charsets are no charsets at all.
    """
    page = body[:LOOKED_AT].decode("utf-8", "replace")
    page = re.sub(r"(?is)<(script|style)\b.*?(</\1>|$)|<[^<>]*>", " ", page)
    text = " ".join("".join(c if c.isprintable() else " " for c in page).split())
    return f'"{text[:SHOWN]}{" ..." * (len(text) > SHOWN)}"' if text else "nothing"
