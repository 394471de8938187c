"""How far the bytes of a file have come, told by who moves them to who waits for them.

Two numbers in memory that two processes may share. Who waits writes what is wanted and looks once
more how far it is; who moves writes how far it is and then looks at what is wanted. Should both
miss the other's change, the next bytes, or the end, bring them together.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager

NEVER = 2**62
"""An offset that no file has."""


class Progress:
    """Of one transfer. Offsets in bytes."""

    __slots__ = ("_cells",)

    def __init__(self, cells: memoryview | None = None) -> None:
        """`cells`: two numbers that are in use already; new ones if none are given."""
        if cells is None:
            self._cells = memoryview(bytearray(16)).cast("q")
            self.begin(0)
        else:
            self._cells = cells

    def begin(self, offset: int) -> None:
        """Nothing has come that belongs behind `offset`, and nobody waits."""
        self._cells[0], self._cells[1] = offset, NEVER

    def take_over(self, other: Progress) -> None:
        """Be where another one is."""
        self._cells[:] = other._cells

    @property
    def position(self) -> int:
        """All bytes before it are there."""
        return int(self._cells[0])

    def come_to(self, offset: int) -> bool:
        """All bytes before `offset` are there; whether somebody waits for that."""
        self._cells[0] = offset
        if offset < self._cells[1]:
            return False
        self._cells[1] = NEVER
        return True

    def want(self, offset: int) -> bool:
        """Whether all bytes before `offset` are there; if not, it will be told when they are."""
        self._cells[1] = min(offset, self._cells[1])
        return self._cells[0] >= offset


class SharedProgress:
    """Numbers for so many transfers, in memory that is shared with processes forked later."""

    def __init__(self, places: int) -> None:
        self._memory = mmap.mmap(-1, 16 * places)
        self._cells = memoryview(self._memory).cast("q")
        self._free = set(range(places))

    def at(self, place: int) -> Progress:
        """The one at a place that is taken, here or by the other process."""
        return Progress(self._cells[2 * place : 2 * place + 2])

    @contextmanager
    def taken(self) -> Iterator[int]:
        """A place for one transfer."""
        place = self._free.pop()
        try:
            yield place
        finally:
            self._free.add(place)
