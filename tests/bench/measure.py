"""Figures: what is measured in turns, and what it says about a target. No clock is read here."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """What the figure of a row must be."""

    sign: str
    """`≥` or `≤`."""
    limit: float

    def met(self, figure: float) -> bool:
        return figure >= self.limit if self.sign == "≥" else figure <= self.limit

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}"


def at_least(limit: float) -> Target:
    return Target("≥", limit)


def at_most(limit: float) -> Target:
    return Target("≤", limit)


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table. Without a rival, the target is for our own figure."""

    row: str
    unit: str
    ours: Sequence[float]
    rival: Sequence[float] = ()
    """As many as ours, each measured beside the one of ours at its place."""
    rival_name: str = ""
    target: Target | None = None
    worst: bool = False
    """The target is for the worst of our figures, not for the median."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """What else was seen; for the JSON."""

    @property
    def ratios(self) -> list[float]:
        """Ours to the rival's, for each pair; none without a rival."""
        if not self.rival:
            return []
        return [ours / rival for ours, rival in zip(self.ours, self.rival, strict=True)]

    @property
    def compared(self) -> Sequence[float]:
        """What the target is about."""
        return self.ratios or self.ours

    @property
    def figure(self) -> float:
        if self.worst:
            return max(self.compared)
        return statistics.median(self.compared)

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        return "ok" if self.target.met(self.figure) else "falls short"


def alternate(runs: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Each side's figures, taken in turns: A B A B …"""
    figures: list[list[float]] = [[] for _ in sides]
    for _ in range(runs):
        for taken, side in zip(figures, sides, strict=True):
            taken.append(side())
    return figures


def rates(amount: float, seconds: Sequence[float]) -> list[float]:
    """`amount` to the second; for bytes, in megabytes of 10^6."""
    return [amount / each for each in seconds]
