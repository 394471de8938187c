"""Who keeps a mount busy, as far as /proc lets this user see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holder:
    """A process, and what of the mount it holds."""

    pid: int
    command: str
    path: str


def find_holders(mountpoint: Path) -> list[Holder]:
    """Processes with a working directory or open file below the mountpoint.

    Only links are read, so that nothing is asked of the mount itself.
    """
    found = []
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        for path in _links(process):
            if path == str(mountpoint) or path.startswith(f"{mountpoint}/"):
                found.append(Holder(int(process.name), _command(process), path))
                break
    return found


def _links(process: Path) -> Iterator[str]:
    try:
        links = [process / "cwd", process / "root", process / "exe", *(process / "fd").iterdir()]
    except OSError:
        return
    for link in links:
        try:
            yield os.readlink(link)  # noqa: PTH115
        except OSError:
            continue


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "?"
