"""Memory, watched while something goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from tests.bench.processes import memory

INTERVAL = 0.1
"""Seconds between two looks; VmHWM tells of what was between them."""


class Peak:
    """The largest memory of some processes, while the block runs."""

    def __init__(self, processes: Callable[[], Sequence[int]]) -> None:
        self._processes = processes
        self.largest = {"VmHWM": 0.0, "VmRSS": 0.0}
        """Megabytes, each summed over the processes of one moment."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _watch(self) -> None:
        while not self._over.wait(INTERVAL):
            for name, megabytes in memory(self._processes()).items():
                self.largest[name] = max(self.largest[name], megabytes)
