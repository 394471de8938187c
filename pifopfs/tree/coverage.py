"""Which bytes of a file are there."""

from __future__ import annotations


class Coverage:
    """Ranges of offsets, in order, apart from each other."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add(self, start: int, end: int) -> None:
        """The bytes from `start` on, before `end`, are there."""
        if start >= end:
            return
        apart = []
        for known in self._ranges:
            if known[1] < start or end < known[0]:
                apart.append(known)
            else:
                start, end = min(start, known[0]), max(end, known[1])
        self._ranges = sorted([*apart, (start, end)])

    def end_from(self, offset: int) -> int:
        """How far all bytes from `offset` on are there: `offset` itself where that byte is not."""
        for start, end in self._ranges:
            if start <= offset < end:
                return end
        return offset

    def next_from(self, offset: int) -> int | None:
        """The first offset behind `offset` whose byte is there."""
        return min((start for start, _ in self._ranges if start > offset), default=None)

    def ends_at(self, offset: int) -> bool:
        """The byte before `offset` is there, and that at `offset` is not."""
        return any(end == offset for _, end in self._ranges)
