"""How long things take, in a handful of numbers."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)
"""Seconds, each the most that its bucket holds; what takes longer is in one of its own."""


class Histogram:
    """Counts durations. Plain numbers: to add one costs less than a microsecond."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        """Seconds in all."""

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Each bound, in the words of Prometheus, and how many took no longer."""
        sums, so_far = [], 0
        for bound, count in zip([*map(str, BOUNDS), "+Inf"], self._counts, strict=True):
            so_far += count
            sums.append((bound, float(so_far)))
        return sums
