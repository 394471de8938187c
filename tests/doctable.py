"""Tables of the documentation, as data."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def rows(document: Path, heading: str) -> list[dict[str, str]]:
    """The rows of the first table below a heading: the column's title to the cell's text.

    A bar that belongs to the text is written `\\|`.
    """
    lines = iter(document.read_text().splitlines())
    for line in lines:
        if line.startswith("#") and line.lstrip("#").strip() == heading:
            break
    else:
        raise AssertionError(f"{document} has no heading {heading!r}")
    table: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            table.append(cells(line))
        elif table:
            break
        assert not line.startswith("#"), f"no table below {heading!r} in {document}"
    titles, ruler, *body = table
    assert all(set(cell) <= set("-: ") for cell in ruler), ruler
    assert all(len(row) == len(titles) for row in body), f"an uneven table below {heading!r}"
    return [dict(zip(titles, row, strict=True)) for row in body]


def cells(line: str) -> list[str]:
    """The cells of one line of a table."""
    parts = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [part.replace(r"\|", "|").strip() for part in parts]
