"""The small files: values to read, `start` and `stop` to write, `wait` to block on, `log`."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from pifopfs.errors import AccessNotAllowed, PifopfsError
from pifopfs.tree.execution import Execution
from pifopfs.tree.job import Job
from pifopfs.tree.layout import FIXED, FUNCTION_INO
from pifopfs.tree.nodes import (
    LIVE,
    Attributes,
    Changes,
    Handle,
    Node,
    reads,
    refuse_writing,
)
from pifopfs.tree.shared import FunctionInfo
from pifopfs.tree.waiting import TRANSIENT

TOUCH_SLACK_NS = 2 * 10**9
"""A modification time this close to now means `touch`, not the copy of an older time."""


class SnapshotHandle(Handle):
    """A small file as it was when it was opened."""

    direct_io = True

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + size]


class FunctionFile(Node):
    """`function.json`: the Function object."""

    def __init__(self, function: FunctionInfo, mounted_ns: int) -> None:
        super().__init__(FUNCTION_INO, "function.json")
        self._function = function
        self._mounted_ns = mounted_ns

    def attributes(self) -> Attributes:
        size = len(self._function.render())
        return Attributes(self.ino, FIXED["id"].mode, size, self._mounted_ns)

    async def open(self, flags: int) -> Handle:
        refuse_writing(self, flags)
        await self._function.refresh()
        return SnapshotHandle(self._function.render())


class JobFile(Node):
    """One of the fixed files of an execution."""

    def __init__(self, job: Job, name: str) -> None:
        super().__init__(job.ino(FIXED[name].slot), name)
        self.job = job

    def _attributes(self, size: int, mtime_ns: int, attr_timeout: float = LIVE) -> Attributes:
        return Attributes(self.ino, FIXED[self.name].mode, size, mtime_ns, attr_timeout)


# ── Values ────────────────────────────────────────────────────────────────────────────────────


def _line(value: object) -> bytes:
    """One value and a newline; empty where the service does not tell."""
    return b"" if value in (None, "") else f"{value}\n".encode()


@dataclass(frozen=True, slots=True)
class Value:
    """How a value file is rendered, and whether its reader wants it fresh."""

    render: Callable[[Execution], bytes]
    live: bool = True


VALUES = {
    "id": Value(lambda execution: _line(execution.id), live=False),
    "status": Value(lambda execution: _line("gone" if execution.gone else execution.status)),
    "end_reason": Value(lambda execution: _line(execution.end_reason)),
    "exit_code": Value(lambda execution: _line(execution.exit_code)),
    "status.json": Value(lambda execution: execution.document),
    "error": Value(lambda execution: execution.failure, live=False),
}


class ValueFile(JobFile):
    """`id`, `status`, `end_reason`, `exit_code`, `status.json`, `error`."""

    def attributes(self) -> Attributes:
        execution = self.job.execution
        size = len(VALUES[self.name].render(execution))
        return self._attributes(size, execution.changed_ns)

    async def open(self, flags: int) -> Handle:
        refuse_writing(self, flags)
        execution = self.job.execution
        execution.check_alive()
        value = VALUES[self.name]
        if value.live:
            with execution.attempt("status"):
                await execution.refresh()
        return SnapshotHandle(value.render(execution))


# ── Log ───────────────────────────────────────────────────────────────────────────────────────


class LogHandle(Handle):
    """Reads what is here; the size that the kernel asks for brings more."""

    def __init__(self, job: Job) -> None:
        self._job = job

    async def read(self, offset: int, size: int) -> bytes:
        return self._job.log.read(offset, size)

    async def release(self) -> None:
        self._job.log.readers -= 1
        if self._job.execution.dead and self._job.log.readers == 0:
            self._job.log.close()


class LogFile(JobFile):
    """`log`."""

    def attributes(self) -> Attributes:
        return self._attributes(self.job.log.size, self.job.log.changed_ns)

    async def look(self) -> Attributes:
        await self.job.log.follow()
        return self.attributes()

    async def open(self, flags: int) -> Handle:
        refuse_writing(self, flags)
        self.job.execution.check_alive()
        self.job.log.readers += 1
        handle = LogHandle(self.job)
        try:
            await self.job.log.refresh()
        except BaseException:
            await handle.release()
            raise
        return handle


# ── Control files ─────────────────────────────────────────────────────────────────────────────


class ControlHandle(Handle):
    """Acts once, on the first write; later writes repeat what came of it."""

    direct_io = True

    def __init__(self, action: Callable[[], Awaitable[None]]) -> None:
        self._action = action
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
        if self._error is not None:
            raise self._error.with_traceback(None)

    async def write(self, offset: int, data: bytes) -> int:
        await self.act()
        return len(data)


class ControlFile(JobFile):
    """`start` and `stop`: any write acts, so does a truncating open or a touch."""

    async def _action(self) -> None:
        raise NotImplementedError

    async def _check(self) -> None:
        """What can be said at open already: some shells show no other error."""

    def attributes(self) -> Attributes:
        return self._attributes(0, self.job.execution.created_ns)

    async def open(self, flags: int) -> Handle:
        if reads(flags):
            raise AccessNotAllowed(self.name, "it can only be written")
        handle = ControlHandle(self._action)
        if flags & os.O_TRUNC:
            await handle.act()
        else:
            await self._check()
        return handle

    async def change(self, changes: Changes, handle: Handle | None) -> Attributes:
        now = time.time_ns()
        if changes.mtime_ns is not None and abs(changes.mtime_ns - now) <= TOUCH_SLACK_NS:
            await self._action()
        return self.attributes()


class StartFile(ControlFile):
    """`start`."""

    async def _action(self) -> None:
        await self.job.start()

    async def _check(self) -> None:
        await self.job.check_start()


class StopFile(ControlFile):
    """`stop`."""

    async def _action(self) -> None:
        await self.job.stop()


# ── wait ──────────────────────────────────────────────────────────────────────────────────────


class WaitHandle(Handle):
    """The first read blocks until the end."""

    direct_io = True

    def __init__(self, job: Job) -> None:
        self._job = job
        self._notifying = trio.CancelScope()

    async def read(self, offset: int, size: int) -> bytes:
        await self._job.end.ended()
        reason = self._job.execution.end_reason.encode("utf-8", "replace") + b"\n"
        return reason[offset : offset + size]

    def ready(self) -> bool:
        execution = self._job.execution
        return execution.ended or execution.dead

    def notify_when_ready(self, callback: Callable[[], None]) -> None:
        self._notifying.cancel()
        self._notifying = trio.CancelScope()
        background = self._job.execution.shared.background
        background.start(self._notify, self._notifying, callback)

    async def _notify(self, scope: trio.CancelScope, callback: Callable[[], None]) -> None:
        with scope:
            try:
                await self._job.end.ended()
            finally:
                if not scope.cancel_called:
                    callback()  # also after a failure: the read tells it

    async def release(self) -> None:
        self._notifying.cancel()


class WaitFile(JobFile):
    """`wait`: reachable by name, not listed."""

    def attributes(self) -> Attributes:
        return self._attributes(0, self.job.execution.changed_ns)

    async def open(self, flags: int) -> Handle:
        refuse_writing(self, flags)
        execution = self.job.execution
        execution.check_alive()
        try:
            await execution.refresh()
        except TRANSIENT:
            if execution.pending:
                raise
        self.job.end.check()
        return WaitHandle(self.job)


FILES: dict[str, type[JobFile]] = {
    **dict.fromkeys(VALUES, ValueFile),
    "log": LogFile,
    "start": StartFile,
    "stop": StopFile,
    "wait": WaitFile,
}
