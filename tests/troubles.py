"""docs/TROUBLESHOOTING.md as data: its entries, what they show, and what the sources can say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DOCUMENT = PROJECT / "docs" / "TROUBLESHOOTING.md"
ANYTHING = "…"
LEAST_PART = 1 / 3
"""Of a line that its source makes up: the rest are names, paths and numbers."""


@dataclass(frozen=True)
class Step:
    """A command, and the lines that it prints."""

    command: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One trouble. `stage` is where it is replayed; None where it is not."""

    group: str
    title: str
    text: str
    stage: str | None
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return f"{self.title}"


def entries() -> list[Entry]:
    """All of the document."""
    found = []
    group = ""
    for part in re.split(r"^(?=##+ )", DOCUMENT.read_text(), flags=re.MULTILINE):
        heading, _, text = part.partition("\n")
        if heading.startswith("## "):
            group = heading.removeprefix("## ")
        elif heading.startswith("### "):
            found.append(_entry(group, heading.removeprefix("### ").strip("`"), text))
    return found


def _entry(group: str, title: str, text: str) -> Entry:
    stage = re.search(r"<!-- replayed: (.*) -->", text)
    block = re.search(r"```console\n(.*?)```", text, re.DOTALL)
    steps = tuple(_steps(block[1])) if block else ()
    return Entry(group, title, text, stage and stage[1], steps)


def _steps(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *lines = part.splitlines()
        yield Step(command, tuple(lines))


def pattern(line: str) -> re.Pattern[str]:
    """What a line of the document matches."""
    return re.compile(".*".join(map(re.escape, line.split(ANYTHING))), re.DOTALL)


@cache
def sources() -> list[str]:
    """Every text of the package, with `ANYTHING` for what is put into it."""
    texts: set[str] = set()
    for path in (PROJECT / "pifopfs").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                texts.add("".join(_piece(value) for value in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(re.sub(r"%[a-z]|%\.\d+f", ANYTHING, node.value))
    return sorted(texts)


def _piece(value: ast.expr) -> str:
    return str(value.value) if isinstance(value, ast.Constant) else ANYTHING


def said_by_the_sources(line: str) -> bool:
    """Whether a text of the package is in this line, its blanks filled somehow, and much of it."""
    return any(
        pattern(text).search(line)
        for text in sources()
        if len(text.replace(ANYTHING, "")) >= LEAST_PART * len(line)
    )
