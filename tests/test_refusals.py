"""What cannot be done is refused by one sentence, before anything heavy is imported, read or made."""

import pytest

from svd_nodes.headless.sentences import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Bild, 写真\u3000と 👨\u200d👩.png", "Bild, 写真\u3000と 👨\u200d👩.png"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("two\nlines\r\x0b\x85\u2028", "two\\nlines\\r\\x0b\\x85\\u2028"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),  # a control of one byte, and delete
        ("gnp.\u202egpj.exe", "gnp.\\u202egpj.exe"),  # would be read from right to left
        ("half \udcff", "half \\udcff"),  # a name that is no UTF-8
        ("C:\\x1b", "C:\\x1b"),
    ],
)
def test_names_are_shown_and_never_obeyed(text, shown):
    assert printable(text) == shown
