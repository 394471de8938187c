"""Who sleeps in the kernel for an answer of the filesystem."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


def threads(pid: int) -> Iterator[Path]:
    """The threads of a process and its descendants, as folders of /proc."""
    with contextlib.suppress(OSError):  # it may end meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            yield thread
            for child in (thread / "children").read_text().split():
                yield from threads(int(child))


def blocked(pid: int) -> int:
    """How many of them wait for us."""
    count = 0
    for thread in threads(pid):
        with contextlib.suppress(OSError):
            count += "request_wait_answer" in (thread / "wchan").read_text()
    return count
