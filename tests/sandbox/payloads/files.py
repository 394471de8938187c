"""Opens and lists files. What it must not write it opens only."""

# ruff: noqa: PTH123, PTH208  # it calls the system as any program would

from __future__ import annotations

import os
from pathlib import Path

from attempts import attempt, require, targets


def read(path: str) -> None:
    """At least open it, and read what there is."""
    with open(path, "rb") as file:
        file.read(1)


def listed(path: str) -> None:
    """An empty folder tells nothing."""
    require(os.listdir(path))


def opened_for_writing(path: str) -> None:
    """Nothing is written."""
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))


def made(folder: str) -> None:
    """A file without a name, which vanishes."""
    os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600))


def every_file(folder: str) -> None:
    """Whether any file below can be opened for writing."""
    for path in Path(folder).rglob("*"):
        if path.is_file() and not path.is_symlink():
            attempt(f"write {path}", lambda path=path: opened_for_writing(str(path)))


for verb, action in {
    "read": read,
    "list": listed,
    "write": opened_for_writing,
    "make": made,
}.items():
    for path in targets().get(verb, []):
        attempt(f"{verb} {path}", lambda path=path, action=action: action(path))
for folder in targets().get("write all", []):
    every_file(folder)
