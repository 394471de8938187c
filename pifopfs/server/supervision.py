"""What ends a program before its time: somebody who asks, its limits of time and of disk.

The first reason counts. Memory is the engine's: it alone can tell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import outcome
import trio

from pifopfs.server.disk import DEEPEST, TooDeep, used
from pifopfs.server.engines import Job
from pifopfs.server.limits import MEGABYTE, MINUTE, Limits
from pifopfs.server.sandbox.launch import Exit
from pifopfs.wire import EndReason

log = logging.getLogger(__name__)

DISK_SHARE = 20
"""A look at a run's files takes no more than 1/20 of the time."""
LOOKS = 4
"""Such looks at once, over all runs: other work has threads of its own."""


@dataclass(eq=False, slots=True)
class Asked:
    """Whether somebody wants the end of a run."""

    end: trio.Event = field(default_factory=trio.Event)
    die: trio.Event = field(default_factory=trio.Event)
    """Set with `end`, or later: there is no more grace."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a program has ended; `note` is a line for its log."""

    end_reason: EndReason = EndReason.NORMAL
    note: str = ""
    stopped: bool = False


NORMAL = Verdict()
STOPPED = Verdict(stopped=True)


class Supervision:
    """One run, from its release to its end."""

    def __init__(
        self,
        job: Job,
        limits: Limits,
        work: Path,
        asked: Asked,
        looks: trio.CapacityLimiter,
        pause: Callable[[], float],
        output: Callable[[bytes], None],
    ) -> None:
        """`pause`: seconds between looks at its files, at the least."""
        self._job = job
        self._limits = limits
        self._work = work
        self._asked = asked
        self._looks = looks
        self._pause = pause
        self._output = output
        self._verdict: Verdict | None = None

    async def until_the_end(self) -> tuple[Exit, Verdict]:
        """Raises OSError where the program cannot be followed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_when_asked)
            nursery.start_soon(self._enforce_limits)
            waited = await outcome.acapture(self._job.wait, self._output)
            nursery.cancel_scope.cancel()
        ended = waited.unwrap()  # not in the nursery: a failure would come in a group
        if self._verdict is not STOPPED:
            if ended.out_of_memory:
                return ended, Verdict(EndReason.OUT_OF_MEMORY, out_of_memory(self._limits))
            if ended.timed_out:
                return ended, self._timeout()
            if ended.failure and self._verdict is None:
                return ended, Verdict(EndReason.SYSTEM_ERROR, f"ended: {ended.failure}")
        return ended, self._verdict or NORMAL

    async def _enforce_limits(self) -> None:
        """From when it runs on: what it waits in a queue does not count."""
        has_run = await self._job.begun()
        async with trio.open_nursery() as nursery:
            if self._limits.time is not None:
                nursery.start_soon(self._end_in, self._limits.time - has_run)
            if self._limits.disk is not None:
                nursery.start_soon(self._end_when_full, self._limits.disk)

    def _decide(self, verdict: Verdict) -> bool:
        """Whether this is the first reason."""
        if self._verdict is None:
            self._verdict = verdict
        return self._verdict is verdict

    async def _end_when_asked(self) -> None:
        await self._asked.end.wait()
        self._decide(STOPPED)
        if self._asked.die.is_set():
            await self._job.kill()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._job.stop)
            await self._asked.die.wait()
            await self._job.kill()

    async def _end_in(self, seconds: float) -> None:
        await trio.sleep(max(0.0, seconds))
        await self._end(self._timeout())

    def _timeout(self) -> Verdict:
        if self._limits.time is None:
            return Verdict(EndReason.TIMEOUT, "ended: the time that its machine gives it is over")
        limit = f"{self._limits.time / MINUTE:g} minutes"
        return Verdict(EndReason.TIMEOUT, f"ended: the time limit of {limit} is over")

    async def _end_when_full(self, limit: int) -> None:
        interval = self._pause()
        while True:
            await trio.sleep(interval)
            began = trio.current_time()
            note = await trio.to_thread.run_sync(
                partial(_excess, self._work, limit, trio.from_thread.check_cancelled),
                limiter=self._looks,
            )
            if note:
                await self._end(Verdict(EndReason.SYSTEM_ERROR, f"ended: {note}"))
                return
            interval = max(self._pause(), DISK_SHARE * (trio.current_time() - began))

    async def _end(self, verdict: Verdict) -> None:
        if self._decide(verdict):
            await self._job.kill()


def out_of_memory(limits: Limits) -> str:
    """The line for the log of a run that has exceeded its memory limit."""
    if limits.memory is None:
        return "ended: it needed more memory than its machine gives it"
    limit = limits.memory / MEGABYTE
    return f"ended: it needed more than its memory limit of {limit:.4g} MB"


def _excess(work: Path, limit: int, still_wanted: Callable[[], None]) -> str:
    """What is wrong with what a run keeps on disk, or nothing. For a thread."""

    def go_on(total: int) -> None:
        still_wanted()
        if total > limit:
            raise _Enough

    try:
        go_on(used(work, go_on))
    except _Enough:
        return f"it kept more than its limit of {limit / MEGABYTE:g} MB on disk"
    except TooDeep:
        return f"it made folders within each other, over {DEEPEST} deep"
    except FileNotFoundError:
        return ""  # somebody has removed the folder: nothing is in it
    except OSError as error:
        log.warning("the disk use of %s cannot be told: %s", work, error)
    return ""


class _Enough(Exception):
    """There is no need to count on."""
