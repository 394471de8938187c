"""A writable handle of an input."""

from __future__ import annotations

from dataclasses import dataclass

from pifopfs.errors import PifopfsError


@dataclass(eq=False, slots=True)
class Writer:
    """What one writable handle has done so far."""

    wrote: bool = False
    """… since its last flush that uploaded."""
    uploaded: bool = False
    """One of its flushes has uploaded."""
    hole: int | None = None
    """A write failed at this offset, and what belongs there was not written since."""
    failure: PifopfsError | None = None
    """What it failed with."""

    def fail(self, offset: int, error: PifopfsError) -> None:
        """A write at `offset` has failed."""
        self.hole = offset if self.hole is None else min(self.hole, offset)
        self.failure = error

    def fill(self, start: int, end: int) -> None:
        """These bytes are as the program wants them: who goes on where a write failed fills it."""
        self.wrote = True
        if self.hole is not None and start <= self.hole <= end:
            self.hole = self.failure = None
