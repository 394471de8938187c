"""How fast jobs are submitted, and how many are in the queue at once."""

from __future__ import annotations

import trio


class Pace:
    """First come, first served."""

    def __init__(self, rate: float, most: int) -> None:
        """`rate`: submissions a second. `most`: jobs that are submitted and have not ended."""
        self._pause = 1 / rate
        self._most = most
        self._next = float("-inf")
        self._there = 0
        self._left = trio.Event()
        self._first = trio.StrictFIFOLock()
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
        now = trio.current_time()
        self._next = max(now, self._next + self._pause)
        await trio.sleep(self._next - now)
