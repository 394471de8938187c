"""Inputs and outputs as files: the nodes and handles over their staged and cached bytes."""

from __future__ import annotations

import os
from stat import S_IFREG

from pifopfs.errors import AccessNotAllowed
from pifopfs.tree.inputs import Input
from pifopfs.tree.job import Job
from pifopfs.tree.layout import COPIED
from pifopfs.tree.nodes import (
    LIVE,
    STATIC,
    Attributes,
    Changes,
    Handle,
    Node,
    refuse_writing,
    writes,
)
from pifopfs.tree.outputs import CompleteReader, DownloadReader, Output, Paging
from pifopfs.tree.writer import Writer


class InputHandle(Handle):
    """An open input."""

    def __init__(self, file: Input, writer: Writer | None, flags: int) -> None:
        """`flags`: of the `open`."""
        self.file = file
        self.writer = writer
        self.direct_io = file.pages.join(flags)

    async def read(self, offset: int, size: int) -> bytes:
        return self.file.staged.read(offset, size)

    async def write(self, offset: int, data: bytes) -> int:
        self.file.execution.check_alive()
        if self.writer is None:
            return await super().write(offset, data)
        return self.file.write(self.writer, offset, data)

    def read_at_once(self, offset: int, size: int) -> bytes | memoryview | None:
        return self.file.staged.read_at_once(offset, size)

    def write_at_once(self, offset: int, data: bytes) -> int:
        return self.file.write_at_once(self.writer, offset, data)

    async def flush(self, *, killed: bool) -> None:
        if self.writer is not None:
            await self.file.flush(self.writer, killed=killed)

    async def release(self) -> None:
        self.file.pages.leave(past=self.direct_io)
        self.file.release(self.writer)


class InputFile(Node):
    """One file of `input/`: writable while pending, readable always."""

    __slots__ = ("file", "job")

    def __init__(self, job: Job, file: Input) -> None:
        super().__init__(file.ino, file.name)
        self.job = job
        self.file = file

    def where(self) -> str:
        return self.job.path(f"input/{self.file.name}")

    def attributes(self) -> Attributes:
        file = self.file
        mode = 0o666 if file.mode is None else file.mode
        if not self.job.execution.pending:
            mode &= ~0o222
        status = file.staged.stat()
        return Attributes(
            self.ino,
            S_IFREG | mode,
            status.st_size,
            status.st_mtime_ns,
            LIVE if file.writers else STATIC,
            file.uid,
            file.gid,
        )

    async def open(self, flags: int) -> Handle:
        self.job.execution.check_alive()
        if writes(flags):
            self.job.inputs.check_writable()
        elif flags & os.O_TRUNC:
            raise AccessNotAllowed(self.name)
        writer = self.file.open(writing=writes(flags), truncate=bool(flags & os.O_TRUNC))
        return InputHandle(self.file, writer, flags)

    async def change(self, changes: Changes, handle: Handle | None) -> Attributes:
        """chmod, chown and times are remembered, and never count as a modification."""
        if changes.size is not None:
            writer = handle.writer if isinstance(handle, InputHandle) else None
            if writer is None:
                self.job.inputs.check_writable()
            self.job.execution.check_alive()
            self.file.truncate(changes.size, writer)
        if changes.mode is not None:
            self.file.set_mode(changes.mode)
        if changes.uid is not None or changes.gid is not None:
            self.file.set_owner(changes.uid, changes.gid)
        if changes.atime_ns is not None or changes.mtime_ns is not None:
            self.file.staged.set_times(changes.atime_ns, changes.mtime_ns)
        return self.attributes()


class OutputHandle(Handle):
    """An open output: through the page cache only where the bytes are complete."""

    def __init__(self, output: Output, reader: CompleteReader | DownloadReader) -> None:
        self._output = output
        self._reader = reader
        self._paging = Paging.NEVER
        if isinstance(reader, CompleteReader):
            self._paging = output.page(reader)
            self.untold = output.untold(reader)
        self.direct_io = self._paging is Paging.NEVER
        self.keep_cache = self._paging is Paging.KEPT

    async def read(self, offset: int, size: int) -> bytes | memoryview:
        return await self._reader.read(offset, size)

    def read_at_once(self, offset: int, size: int) -> bytes | memoryview | None:
        return self._reader.read_at_once(offset, size)

    async def release(self) -> None:
        self._reader.close()
        if self._paging is not Paging.NEVER:
            self._output.unpage()


class OutputFile(Node):
    """One file of `output/`."""

    __slots__ = ("job", "output")

    def __init__(self, job: Job, output: Output) -> None:
        super().__init__(output.ino, output.name)
        self.job = job
        self.output = output

    def where(self) -> str:
        return self.job.path(f"output/{self.name}")

    def attributes(self) -> Attributes:
        execution, size = self.job.execution, self.output.size
        mtime_ns = execution.ended_ns or execution.changed_ns
        self.output.told = size or 0
        timeout = LIVE if size is None else STATIC
        return Attributes(self.ino, COPIED, size or 0, mtime_ns, timeout)

    async def look(self) -> Attributes:
        await self.output.learn_size()
        return self.attributes()

    async def open(self, flags: int) -> Handle:
        self.job.execution.check_alive()
        refuse_writing(self, flags)
        with self.job.execution.noted(f"download of output {self.name}"):
            return OutputHandle(self.output, await self.output.open())
