"""How fast jobs are submitted, and how many are in the queue at once."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

LONGEST = 60.0
"""Seconds between attempts, while Slurm takes no job."""
FIRST = 1.0


class Pace:
    """First come, first served."""

    def __init__(self, rate: float, most: int) -> None:
        """`rate`: submissions a second. `most`: jobs that are submitted and have not ended."""
        self._rate = rate
        self._most = most
        self._last = float("-inf")
        self._refusals: dict[str, _Refusal] = {}
        self._there = 0
        self._left = trio.Event()
        self._first, self._turn = trio.StrictFIFOLock(), trio.StrictFIFOLock()
        self._waiting: dict[str, None] = {}
        """In their order."""

    def before(self, name: str) -> int | None:
        """How many wait here before this one; None where it does not."""
        return list(self._waiting).index(name) if name in self._waiting else None

    async def enter(self, name: str) -> None:
        """Return when it may be submitted. It has a place then, until `leave`."""
        self._waiting[name] = None
        try:
            async with self._first:
                while self._there >= self._most:
                    await self._left.wait()
                await self.turn()
                self._there += 1
        finally:
            del self._waiting[name]

    def join(self) -> None:
        """One more is in the queue, from an earlier time: even where that makes too many."""
        self._there += 1

    def leave(self) -> None:
        """One has ended."""
        self._there -= 1
        self._left.set()
        self._left = trio.Event()

    async def turn(self) -> None:
        """Return when the next submission may be made."""
        async with self._turn:
            await trio.sleep_until(self._last + 1 / self._rate)
            self._last = trio.current_time()

    def took(self, kind: str) -> None:
        """Slurm has taken a job of that kind, or does not want it: it answers."""
        refusal = self._refusals.pop(kind, None)
        if refusal is not None:
            refusal.over.set()

    async def try_again(self, kind: str, name: str) -> None:
        """Return when a job may be submitted that Slurm does not take now.

        Of its kind one at a time is tried, ever more rarely; those of other kinds need not wait.
        """
        refusal = self._refusals.setdefault(kind, _Refusal())
        refusal.once_more(trio.current_time())
        self._waiting[name] = None
        try:
            async with refusal.turn:
                with trio.move_on_after(refusal.pause):
                    await refusal.over.wait()
            await self.turn()
        finally:
            del self._waiting[name]


@dataclass(eq=False, slots=True)
class _Refusal:
    """Of jobs of one kind."""

    pause: float = FIRST / 2
    since: float = float("-inf")
    turn: trio.StrictFIFOLock = field(default_factory=trio.StrictFIFOLock)
    over: trio.Event = field(default_factory=trio.Event)

    def once_more(self, now: float) -> None:
        if now >= self.since + self.pause:  # others may have been refused at the same time
            self.pause, self.since = min(LONGEST, self.pause * 2), now
