"""Memory limits by looking at a run's processes again and again, where no cgroup can be had.

A run that grows fast exceeds its limit by what it takes between two looks.
"""

from __future__ import annotations

from pathlib import Path

import trio

from pifopfs.server.memory import Confinement, Run
from pifopfs.server.memory.control_groups import Unavailable
from pifopfs.server.memory.usage import careful, quick

TICK, TICK_NEAR = 0.05, 0.02
"""Seconds between two looks, and those where over half of the limit is used."""
SHARE = 4
"""A pause is at least so many times as long as the look before: looks must stay cheap."""
THREADS = 4
"""How many runs are looked at at the same time."""


class Polling:
    """Confines runs."""

    name = "polling"

    def __init__(self) -> None:
        self._threads = trio.CapacityLimiter(THREADS)

    def confine(self, name: str, limit: int) -> Confinement:
        return Polled(limit, self._threads)

    def clear_up(self) -> None:
        """It sets nothing up that could be left."""


class Polled:
    """See `Confinement`."""

    join: tuple[Path, ...] = ()

    def __init__(self, limit: int, threads: trio.CapacityLimiter) -> None:
        self._limit = limit
        self._threads = threads
        self._exceeded = False

    async def until_exceeded(self, run: Run) -> None:
        while not self._exceeded:
            began = trio.current_time()
            used = await trio.to_thread.run_sync(self._look, run, limiter=self._threads)
            took = trio.current_time() - began
            self._exceeded = used > self._limit
            tick = TICK_NEAR if used > self._limit / 2 else TICK
            await trio.sleep(0 if self._exceeded else max(tick, took * SHARE))

    def _look(self, run: Run) -> int:
        """Bytes. The careful look is worth its time only where the quick one finds too much.

        It is no look at one moment: of a process that forks meanwhile, what the children share may
        count twice. So the less of two counts.
        """
        used = quick(run)
        if used > self._limit:
            used = careful(run)
        return min(used, careful(run)) if used > self._limit else used

    def exceeded(self) -> bool:
        return self._exceeded

    def kill(self) -> None:
        """It has no way of its own."""

    async def close(self) -> None:
        """It has set nothing up."""
        await trio.lowlevel.checkpoint()


def prepared() -> Polling:
    """Raises Unavailable where this process cannot see its like."""
    try:
        Path("/proc/self/statm").read_bytes()
    except OSError as error:
        raise Unavailable(f"/proc cannot be read: {error.strerror}") from error
    return Polling()
