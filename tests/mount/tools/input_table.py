"""The table of docs/SEMANTICS.md on tools that write inputs, made from the rows that are tested."""

from __future__ import annotations

from tests.mount.tools.input_programs import ROWS
from tests.mount.tools.input_recipes import Row

UPLOADS = ("no upload", "one upload", "two uploads", "three uploads")


def what_happens(row: Row) -> str:
    """A row's second column."""
    told = [f"`{row.refused}`, exit status {row.status}"] if row.refused else []
    later = ", completed by `start`" if row.later and row.uploads else ""
    told.append(UPLOADS[row.uploads] + later)
    if row.start:
        told.append(f"`start`: {row.start}")
    if row.note:
        told.append(row.note)
    return "; ".join(told)


def table() -> str:
    """The table in Markdown."""
    lines = [f"| {name} | {what_happens(row)} |" for name, row in ROWS.items()]
    return "\n".join(["| tool | what happens |", "|---|---|", *lines]) + "\n"
