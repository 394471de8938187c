"""`start` and `stop`: written to act."""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable

import trio

from pifopfs.errors import AccessNotAllowed, PifopfsError
from pifopfs.tree.jobfile import JobFile
from pifopfs.tree.nodes import Attributes, Changes, Handle, reads

TOUCH_SLACK_NS = 2 * 10**9
"""A modification time this close to now means `touch`, not the copy of an older time."""


class ControlHandle(Handle):
    """Acts once, on the first write; later writes repeat what came of it."""

    direct_io = True

    def __init__(self, action: Callable[[], Awaitable[None]], others: set[ControlHandle]) -> None:
        """`others` are those of the same file that have acted and are open; this one joins them."""
        self._action = action
        self._others = others
        self._lock = trio.Lock()
        self._acted = False
        self._error: PifopfsError | None = None

    async def act(self) -> None:
        """Raises what the action raises, every time."""
        async with self._lock:
            if not self._acted:
                try:
                    await self._action()
                except PifopfsError as error:
                    self._error = error
                self._acted = True
                self._others.add(self)
        if self._error is not None:
            raise self._error.with_traceback(None)

    async def write(self, offset: int, data: bytes) -> int:
        await self.act()
        return len(data)

    async def release(self) -> None:
        self._others.discard(self)


class ControlFile(JobFile):
    """`start` and `stop`: any write acts, so does a truncating open or a touch."""

    __slots__ = ()

    @abstractmethod
    async def _action(self) -> None:
        """What a write does."""

    @abstractmethod
    async def _check(self) -> None:
        """What can be said at open already: some shells show no other error."""

    @property
    def _acted(self) -> set[ControlHandle]:
        """The open handles that have acted."""
        return self.job.acted.setdefault(self.name, set())

    def attributes(self) -> Attributes:
        return self._attributes(0, self.job.execution.created_ns)

    async def open(self, flags: int) -> Handle:
        self.job.execution.check_alive()
        if reads(flags):
            raise AccessNotAllowed(self.name, "it can only be written")
        handle = ControlHandle(self._action, self._acted)
        if flags & os.O_TRUNC:
            try:
                await handle.act()
            except BaseException:
                await handle.release()  # nobody gets it
                raise
        else:
            await self._check()
        return handle

    async def change(self, changes: Changes, handle: Handle | None) -> Attributes:
        """A touch acts; while a handle is open that has acted, it repeats what came of that."""
        now = time.time_ns()
        if changes.mtime_ns is not None and abs(changes.mtime_ns - now) <= TOUCH_SLACK_NS:
            acted = next(iter(self._acted), None)
            await (self._action() if acted is None else acted.act())
        return self.attributes()


class StartFile(ControlFile):
    """`start`."""

    __slots__ = ()

    async def _action(self) -> None:
        await self.job.start()

    async def _check(self) -> None:
        await self.job.check_start()


class StopFile(ControlFile):
    """`stop`."""

    __slots__ = ()

    async def _action(self) -> None:
        await self.job.stop()

    async def _check(self) -> None:
        await self.job.check_stop()
