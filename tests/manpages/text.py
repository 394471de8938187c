"""A help text, as its writers write it: paragraphs, examples, and lists with a title."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

KEPT = "\b"
"""click's mark before lines that are kept as they are."""
ROW = re.compile(r"^ +(\S.*?)(?: {2,}(\S.*))$")


@dataclass(frozen=True)
class Paragraph:
    """Text that is filled."""

    text: str


@dataclass(frozen=True)
class Example:
    """Lines as they are."""

    lines: list[str]


@dataclass(frozen=True)
class Listing:
    """What something can be, and what that means."""

    title: str
    rows: list[tuple[str, str]]


Block = Paragraph | Example | Listing


def blocks(text: str | None) -> list[Block]:
    """The parts of a help text; nothing of what is behind a form feed, which click leaves out."""
    cleaned = inspect.cleandoc((text or "").partition("\f")[0])
    parts = [part.strip("\n") for part in re.split(r"\n\s*\n", cleaned)]
    return [block for part in parts if part.strip() for block in _blocks(part)]


def _blocks(part: str) -> list[Block]:
    first, *kept = part.split("\n")
    if first.strip() != KEPT:
        return [Paragraph(" ".join(line.strip() for line in [first, *kept]))]
    if not kept[0].endswith(":") or kept[0].startswith(" "):
        return [Example(inspect.cleandoc("\n" + "\n".join(kept)).split("\n"))]
    found: list[Block] = []
    for line in kept:
        row = ROW.match(line)
        if row and isinstance(found[-1], Listing):
            found[-1].rows.append((row[1], row[2]))
        elif line.startswith(" ") and isinstance(found[-1], Listing):  # a row goes on
            name, meaning = found[-1].rows[-1]
            found[-1].rows[-1] = (name, f"{meaning} {line.strip()}")
        else:
            title = line.endswith(":")
            found.append(Listing(line.removesuffix(":"), []) if title else Paragraph(line))
    return found
