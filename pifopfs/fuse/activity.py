"""What goes on in one mount, and how much of it has: for `stats` and for dumps.

Reads and writes are counted by plain numbers: they may be of one byte each.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from pifopfs.fuse.callers import Caller
from pifopfs.fuse.calls import Calls
from pifopfs.observing.histogram import Histogram
from pifopfs.tree.nodes import Handle, Node


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open file and who opened it: later requests do not say who asks."""

    node: Node
    handle: Handle
    caller: Caller
    opened: float = field(default_factory=time.monotonic)


class Activity:
    """The calls, the open files, and what is counted of them. Only `fuse` writes here."""

    __slots__ = ("calls", "errors", "files", "operations", "read", "reads", "writes", "written")

    def __init__(self) -> None:
        self.files: dict[int, OpenFile] = {}
        """By the number that the kernel knows them by."""
        self.operations: Counter[str] = Counter()
        """Requests of each kind, save reads and writes."""
        self.errors: Counter[tuple[str, int]] = Counter()
        """Failed ones, by kind and errno."""
        self.reads = self.writes = 0
        self.read = self.written = 0
        """Bytes."""
        self.calls = Calls()

    @property
    def waits(self) -> dict[str, Histogram]:
        """How long calls took that may wait, by kind."""
        return self.calls.took

    def requests(self) -> dict[str, int]:
        """How many of each kind there were."""
        return {**self.operations, "read": self.reads, "write": self.writes}
