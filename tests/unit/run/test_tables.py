"""Tables and JSON whatever the names are; durations and sizes as one word."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pifopfs.cli.tables import duration, lines, size
from pifopfs.cli.texts import json_line, shown, valid


@pytest.mark.parametrize(
    ("seconds", "word"),
    [
        (None, "-"), (-1, "0s"), (0.9, "0s"), (59.9, "59s"), (60, "1m00s"), (200, "3m20s"),
        (7500, "2h05m"), (86399, "23h59m"), (394_000, "4d13h"), (86400 * 400, "400d00h"),
    ],
)  # fmt: skip
def test_a_duration_is_one_word(seconds: float | None, word: str) -> None:
    assert duration(seconds) == word


@pytest.mark.parametrize(
    ("count", "word"),
    [
        (None, "-"), (0, "0"), (1023, "1023"), (1024, "1.0K"), (1434, "1.4K"), (10 * 1024, "10K"),
        (1023.6 * 1024, "1.0M"), (120 << 20, "120M"), (1 << 40, "1.0T"), (1 << 80, "1048576E"),
    ],
)  # fmt: skip
def test_a_size_is_one_word(count: int | None, word: str) -> None:
    assert size(count) == word


@given(st.text(st.characters()))
def test_any_text_is_one_line_of_printable_characters(text: str) -> None:
    assert shown(text).isprintable() or not text
    shown(text).encode()


@given(st.text(st.characters()))
def test_json_has_any_text_as_it_is_where_it_is_text(text: str) -> None:
    line = json_line({text: [text, 1, None]})
    line.encode()
    assert "\n" not in line
    ((name, (value, one, nothing)),) = json.loads(line).items()
    assert (name, value, one, nothing) == (valid(text), valid(text), 1, None)
    if not any("\ud800" <= each <= "\udfff" for each in text):
        assert value == text


def test_bytes_that_are_no_text_are_shown_as_numbers() -> None:
    assert shown("a\n\t\x1b[1m\x85\u202e\udcff\ud800é") == r"a\n\t\x1b[1m\x85\u202e\xff\ud800é"
    assert valid("\n\udcff") == "\n\\xff"


def test_columns_are_where_they_are() -> None:
    assert lines(("A", "BB", "NAME"), [("1", "", "x y"), ("22", "333", "")]) == [
        "A   BB   NAME",
        "1   -    x y",
        "22  333  -",
    ]
    assert lines(("A", "NAME"), []) == ["A  NAME"]
