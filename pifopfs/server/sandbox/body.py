"""The processes of a run, seen from outside: asked to end, killed, counted."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import trio

from pifopfs.machine import look, processes
from pifopfs.server.processes import Trace, kill_session

STOP_LOOKS = 500
STOP_PAUSE = 0.001
"""How often, and after how many seconds, a stopped process is looked at until it has stopped."""

GONE_LOOKS, GONE_PAUSE = 5000, 0.002


class Body(Protocol):
    """The processes of one run. `memory.Run` is a part of this."""

    def members(self) -> Iterable[int]:
        """Their numbers, as this process sees them."""

    def in_memory_files(self) -> int:
        """Bytes in the filesystems of theirs that live in memory."""

    def terminate(self) -> None:
        """Ask them to end."""

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

    def terminate(self) -> None:
        """Bubblewrap itself would pass nothing on."""
        for child in children(self.inner):
            _send(child, signal.SIGTERM)

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

    def terminate(self) -> None:
        for member in self.members():
            _send(member, signal.SIGTERM)

    def kill(self) -> None:
        kill_session(self.trace)

    async def gone(self) -> None:
        """What a program has left in the background is killed."""
        kill_session(self.trace)


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
