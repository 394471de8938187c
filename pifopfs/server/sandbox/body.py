"""The processes of a run, seen from outside: asked to end, killed, counted."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import trio

from pifopfs.machine import look, processes
from pifopfs.server.processes import Trace, kill_session

STOP_LOOKS = 500
STOP_PAUSE = 0.001
"""How often, and after how many seconds, a stopped process is looked at until it has stopped."""

GONE_LOOKS, GONE_PAUSE = 5000, 0.002

ASK_PAUSE = 0.02
"""Seconds between looks whether those who were asked to end have."""
ASK_ROUNDS = 20
"""Looks for processes that were started while others were killed."""


class Body(Protocol):
    """The processes of one run. `memory.Run` is a part of this."""

    def members(self) -> Iterable[int]:
        """Their numbers, as this process sees them."""

    def in_memory_files(self) -> int:
        """Bytes in the filesystems of theirs that live in memory."""

    async def ask_to_end(self, grace: float) -> None:
        """Ask them all to end, and return when they have, or after so many seconds.

        It ends the grace itself: what is left then is killed, so that the exit code of the program
        proper still comes.
        """

    def kill(self) -> None:
        """Kill them all. The first one has not been waited for: its number is not another's."""

    async def gone(self) -> None:
        """Return when nothing is left, now that the first one has ended. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Sandboxed:
    """The processes in a sandbox."""

    outer: int
    """Bubblewrap, outside."""
    inner: int
    """The first process inside, with which all others die."""
    started: int
    """When that began: see `machine.Process`."""
    in_memory: int
    """The size of each of its filesystems in memory, in bytes."""

    def members(self) -> Iterable[int]:
        return descendants(self.inner)

    def in_memory_files(self) -> int:
        used = 0
        for folder in ("tmp", "dev/shm"):
            with contextlib.suppress(OSError):  # it has ended
                status = os.statvfs(f"/proc/{self.inner}/root/{folder}")
                if abs(status.f_blocks * status.f_frsize - self.in_memory) < 1 << 16:
                    used += (status.f_blocks - status.f_bfree) * status.f_frsize
        return used

    async def ask_to_end(self, grace: float) -> None:
        """The first process is stopped meanwhile: it would end with the program proper, such as a
        shell that does no more than wait for others, and take these along.
        """
        self._signal_first(signal.SIGSTOP)
        await _ask(self._others, grace)
        self._signal_first(signal.SIGCONT)

    def _others(self) -> list[int]:
        return [pid for pid in living(descendants(self.inner)) if pid != self.inner]

    def _signal_first(self, number: signal.Signals) -> None:
        found = look(self.inner)
        if found is not None and found.started == self.started:
            _send(self.inner, number)

    def kill(self) -> None:
        kill_tree(self.outer)

    async def gone(self) -> None:
        for _ in range(GONE_LOOKS):
            found = look(self.inner)
            if found is None or found.dead or found.started != self.started:
                return  # the kernel has killed the others before
            await trio.sleep(GONE_PAUSE)
        raise OSError(f"the processes of a sandbox ({self.inner}) do not end")


@dataclass(frozen=True, slots=True)
class Session:
    """A session of processes without a sandbox; one that leaves it escapes."""

    trace: Trace

    def members(self) -> Iterable[int]:
        return [found.pid for found in processes() if found.session == self.trace.pid]

    def in_memory_files(self) -> int:
        return 0

    async def ask_to_end(self, grace: float) -> None:
        await _ask(lambda: living(self.members()), grace)

    def kill(self) -> None:
        kill_session(self.trace)

    async def gone(self) -> None:
        """What a program has left in the background is killed."""
        kill_session(self.trace)


async def _ask(members: Callable[[], list[int]], grace: float) -> None:
    for pid in members():
        _send(pid, signal.SIGTERM)
    with trio.move_on_after(grace):
        while members():  # noqa: ASYNC110  # there is no event of it
            await trio.sleep(ASK_PAUSE)
    for _ in range(ASK_ROUNDS):
        left = members()
        if not left:
            return
        for pid in left:
            _send(pid, signal.SIGKILL)
        await trio.sleep(ASK_PAUSE)


def living(pids: Iterable[int]) -> list[int]:
    """Those that have not ended."""
    found = [look(pid) for pid in pids]
    return [process.pid for process in found if process is not None and not process.dead]


def kill_tree(outer: int) -> None:
    """Kill bubblewrap and all in its sandbox, at any moment of its start.

    Killed alone while it sets up the sandbox, it would leave the first process inside alive. So it
    is stopped first: then it starts no other, and its children keep their numbers.
    """
    _send(outer, signal.SIGSTOP)
    for _ in range(STOP_LOOKS):
        found = look(outer)
        if found is None or found.dead or found.stopped:
            break
        time.sleep(STOP_PAUSE)
    for child in children(outer):
        _send(child, signal.SIGKILL)
    _send(outer, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Of a process with a single thread, such as bubblewrap's."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:  # noqa: PTH123  # hot
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """A process and all that come from it. In a sandbox orphans are the first process's."""
    below: dict[int, list[int]] = {}
    for found in processes():
        below.setdefault(found.parent, []).append(found.pid)
    members = [pid]
    for member in members:  # it grows
        members += below.get(member, [])
    return members


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
