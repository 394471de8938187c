"""`wait`: a read blocks until the execution has ended."""

from __future__ import annotations

from collections.abc import Callable

import trio

from pifopfs.errors import PifopfsError
from pifopfs.tree.execution import TRANSIENT
from pifopfs.tree.job import Job
from pifopfs.tree.jobfile import JobFile
from pifopfs.tree.nodes import Attributes, Handle, refuse_writing


class WaitHandle(Handle):
    """The first read blocks until the end."""

    direct_io = True
    patient = True

    def __init__(self, job: Job) -> None:
        self._job = job
        self._notifying = trio.CancelScope()
        self._failure: PifopfsError | None = None
        """What ended a wait by poll, until a read has told it."""

    async def read(self, offset: int, size: int) -> bytes:
        if self._failure is not None:
            error, self._failure = self._failure, None
            raise error.with_traceback(None)
        await self._job.end.ended()
        reason = self._job.execution.end_reason.encode("utf-8", "replace") + b"\n"
        return reason[offset : offset + size]

    def ready(self) -> bool:
        execution = self._job.execution
        return execution.ended or execution.dead or self._failure is not None

    def notify_when_ready(self, callback: Callable[[], None] | None) -> None:
        background = self._job.execution.shared.background
        if callback is None:
            background.start(self._job.execution.refresh)  # for the next look
            return
        self._notifying.cancel()
        self._notifying = trio.CancelScope()
        background.start(self._notify, self._notifying, callback)

    async def _notify(self, scope: trio.CancelScope, callback: Callable[[], None]) -> None:
        with scope:
            try:
                await self._job.end.ended()
            except PifopfsError as error:
                self._failure = error
            callback()

    async def release(self) -> None:
        self._notifying.cancel()


class WaitFile(JobFile):
    """`wait`: reachable by name, not listed."""

    __slots__ = ()

    def attributes(self) -> Attributes:
        return self._attributes(0, self.job.execution.changed_ns)

    async def open(self, flags: int) -> Handle:
        execution = self.job.execution
        execution.check_alive()
        refuse_writing(self, flags)
        try:
            await execution.refresh()
        except TRANSIENT:
            if execution.pending:
                raise
        self.job.end.check()
        return WaitHandle(self.job)
