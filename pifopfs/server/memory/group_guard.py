"""Runs in control groups of their own, below one group: what both versions do alike."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import trio

from pifopfs.machine import short_key
from pifopfs.server.memory import Confinement, Run
from pifopfs.server.memory.control_groups import PROCESSES, count, removed, write

log = logging.getLogger(__name__)

TICK = 0.2
"""Seconds between two looks at a group's counter. The kernel itself has killed what exceeded."""
REMOVAL_TIME, REMOVAL_PAUSE = 1.0, 0.01
"""Seconds. A group is in use for some moments after its last process has ended."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is written into a file of a new group."""

    file: str
    content: str
    optional: bool = False
    """Not every kernel has the file."""


class GroupGuard(ABC):
    """Confines runs to control groups."""

    name: str
    counter: str
    """The file in which the kernel counts what it has killed for its memory."""

    def __init__(self, base: Path, owner: str) -> None:
        """`base`: the group below which those of runs are made. `owner`: tells a server's groups
        from those of others in the same place; a server started anew has the same.
        """
        self._base = base
        self._prefix = f"run-{short_key(owner.encode())}-"

    def confine(self, name: str, limit: int) -> Confinement:
        """See `MemoryGuard`. Takes below a millisecond or two."""
        group = self._base / f"{self._prefix}{name}"
        group.mkdir()
        try:
            for setting in self.settings(limit):
                if not setting.optional or (group / setting.file).exists():
                    write(group / setting.file, setting.content)
        except BaseException:
            group.rmdir()
            raise
        return GroupConfinement(group, group / self.counter, self.kill)

    def clear_up(self) -> None:
        """See `MemoryGuard`. What resists is told in the log: it must not keep a server down."""
        for group in self._base.glob(f"{self._prefix}*"):
            try:
                self._clear(group)
            except OSError as error:
                log.warning("the leftover group %s stays: %s", group, error.strerror)

    def _clear(self, group: Path) -> None:
        """Raises OSError."""
        deadline = time.monotonic() + REMOVAL_TIME
        while not removed(group):
            if time.monotonic() > deadline:
                raise TimeoutError(0, "its processes do not end")
            self.kill(group)
            time.sleep(REMOVAL_PAUSE)

    @abstractmethod
    def settings(self, limit: int) -> Iterable[Setting]:
        """What makes a group keep to the limit, in bytes; in the order in which it is written."""

    @abstractmethod
    def kill(self, group: Path) -> None:
        """Kill what is in a group and below. Raises OSError."""


class GroupConfinement:
    """See `Confinement`."""

    def __init__(self, group: Path, counter: Path, kill: Callable[[Path], None]) -> None:
        self.join: tuple[Path, ...] = (group / PROCESSES,)
        self._group = group
        self._counter = counter
        self._kill = kill

    async def until_exceeded(self, run: Run) -> None:
        while not self.exceeded():  # noqa: ASYNC110  # the kernel changes it
            await trio.sleep(TICK)

    def exceeded(self) -> bool:
        return count(self._counter, "oom_kill") > 0

    def kill(self) -> None:
        self._kill(self._group)

    async def close(self) -> None:
        """Kills what has escaped from those who should have ended it."""
        deadline = trio.current_time() + REMOVAL_TIME
        while not removed(self._group):
            if trio.current_time() > deadline:
                log.warning("the group %s stays: its processes do not end", self._group)
                return
            self.kill()
            await trio.sleep(REMOVAL_PAUSE)
