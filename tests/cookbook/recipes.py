"""A recipe of the cookbook as data: the files that it has its reader save, and the commands.

A block of code is a file where the line before it names one (its last word, in backquotes, before a
colon), else, if it is `sh`, commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

COOKBOOK = Path(__file__).parents[2] / "docs" / "COOKBOOK.md"

BLOCK = re.compile(
    r"(?:(?P<before>[^\n]+)\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
NAME = re.compile(r".*`(?P<name>[\w./-]+)`:")


@dataclass(frozen=True)
class Recipe:
    """A section of the cookbook."""

    files: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Save the files, as the reader does."""
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)


def recipe(heading: str, document: Path = COOKBOOK) -> Recipe:
    """The recipe below a heading."""
    _, _, section = document.read_text().partition(f"\n## {heading}\n")
    assert section, f"there is no recipe {heading!r}"
    found = Recipe()
    for block in BLOCK.finditer(section.partition("\n## ")[0]):
        named = NAME.fullmatch(block["before"] or "")
        if named:
            found.files[named["name"]] = block["text"]
        else:
            assert block["language"] == "sh", f"what is to be done with this?\n{block[0]}"
            found.commands.append(block["text"])
    return found


def headings(document: Path = COOKBOOK) -> list[str]:
    """The titles of all sections."""
    return re.findall(r"^## (.*)$", document.read_text(), re.MULTILINE)
