"""Tables for people, and for awk: a title and as many words in each line, the name last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

NOTHING = "-"
"""In place of what is not known, so that columns stay where they are."""

LETTERS = "KMGTPE"
UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def lines(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Aligned; the last column as long as it is. Cells are one word, save in the last column."""
    table = [titles, *([cell or NOTHING for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)][:-1]
    return [
        "  ".join([*map(str.ljust, row[:-1], widths), row[-1]])  # one line each
        for row in table
    ]


def duration(seconds: float | None) -> str:
    """As 7s, 3m20s, 2h05m, 4d13h."""
    if seconds is None:
        return NOTHING
    whole = max(0, int(seconds))
    for unit, letter, part, small in UNITS:
        if whole >= unit:
            return f"{whole // unit}{letter}{whole % unit // part:02}{small}"
    return f"{whole}s"


def size(count: int | None) -> str:
    """As 17, 1.4K, 120M: of 1024 each."""
    if count is None:
        return NOTHING
    if count < 1024:
        return str(count)
    amount, unit = count / 1024, 0
    while amount >= 1023.5 and unit < len(LETTERS) - 1:
        amount, unit = amount / 1024, unit + 1
    digits = 1 if amount < 9.95 else 0
    return f"{amount:.{digits}f}{LETTERS[unit]}"


def moment(seconds: float) -> str:
    """Local time, as one word."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%dT%H:%M:%S")
