"""The files that are read: `function.json`, values, `log`; and which class each name has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pifopfs.tree.controlfiles import StartFile, StopFile
from pifopfs.tree.execution import GONE, Execution
from pifopfs.tree.job import Job
from pifopfs.tree.jobfile import JobFile
from pifopfs.tree.layout import FIXED, FUNCTION_INO
from pifopfs.tree.nodes import Attributes, Handle, Node, refuse_writing
from pifopfs.tree.shared import FunctionInfo
from pifopfs.tree.waitfile import WaitFile


class SnapshotHandle(Handle):
    """A small file as it was when it was opened."""

    direct_io = True

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def read(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + size]


class FunctionFile(Node):
    """`function.json`: the Function object."""

    __slots__ = ("_function", "_mounted_ns")

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


# ── Values ────────────────────────────────────────────────────────────────────────────────────


def _line(value: object) -> bytes:
    """One value and a newline; empty where the service does not tell."""
    return b"" if value in (None, "") else f"{value}\n".encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Value:
    """How a value file is rendered, and whether its reader wants it fresh."""

    render: Callable[[Execution], bytes]
    live: bool = True


VALUES = {
    "id": Value(lambda execution: _line(execution.id), live=False),
    "status": Value(lambda execution: _line(GONE if execution.gone else execution.status)),
    "end_reason": Value(lambda execution: _line(execution.end_reason)),
    "exit_code": Value(lambda execution: _line(execution.exit_code)),
    "status.json": Value(lambda execution: execution.document),
    "error": Value(lambda execution: execution.failure, live=False),
}


class ValueFile(JobFile):
    """`id`, `status`, `end_reason`, `exit_code`, `status.json`, `error`."""

    __slots__ = ()

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
        self.untold = job.log.untold()

    async def read(self, offset: int, size: int) -> bytes:
        return self._job.log.read(offset, size)

    async def release(self) -> None:
        self._job.log.leave()


class LogFile(JobFile):
    """`log`."""

    __slots__ = ()

    def attributes(self) -> Attributes:
        log = self.job.log
        log.told, log.ino = log.shown, self.ino
        return self._attributes(log.shown, log.changed_ns)

    async def look(self) -> Attributes:
        await self.job.log.follow()
        return self.attributes()

    async def open(self, flags: int) -> Handle:
        self.job.execution.check_alive()
        refuse_writing(self, flags)
        await self.job.log.join()
        return LogHandle(self.job)


FILES: dict[str, type[JobFile]] = {
    **dict.fromkeys(VALUES, ValueFile),
    "log": LogFile,
    "start": StartFile,
    "stop": StopFile,
    "wait": WaitFile,
}
