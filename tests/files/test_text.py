"""What a terminal is shown of text that others wrote."""

import pytest

from mulkinet.cli.table import table
from mulkinet.files.text import in_one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ça va – 日本　é", "Ça va – 日本　é"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("abc\u202efed", r"abc\u202efed"),
        ("caf\udce9.wav", r"caf\udce9.wav"),
    ],
)
def test_what_cannot_be_printed_is_an_escape(text, shown):
    assert in_one_line(text) == shown


def test_a_table_keeps_its_lines():
    assert len(table([("work", "n"), ("a\nb\x1b[2J", "1")]).splitlines()) == 3
