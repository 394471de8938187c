"""What a mount does, as a program small enough to be read: random calls are held to it.

A method returns what the same system call on the mount returns, or raises OSError with the errno
it fails with. Here all happens at once. A mount may be late with two things: an upload that no
close waits for, and the news from the service.

An input is uploaded when a writer closes it and the service lacks it; `start` uploads what it
still lacks. So at the start the service has exactly the bytes that are here, or there is no start.
"""

from __future__ import annotations

import errno
import os

from tests.model.files import Execution, File, Handle, Upload, fail


class Model:
    """A mount, and what it has asked of the service."""

    def __init__(self) -> None:
        self.executions: dict[str, Execution] = {}
        self.accepting = True
        """The service takes uploads; otherwise it says that they are too large."""
        self.uploads: list[Upload] = []
        self.requests = dict.fromkeys(("create", "start", "stop", "terminate"), 0)

    def _find(self, name: str) -> Execution:
        if name not in self.executions:
            fail(errno.ENOENT, "no such execution")
        return self.executions[name]

    def _file(self, execution: str, name: str) -> File:
        files = self._find(execution).files
        if name not in files:
            fail(errno.ENOENT, "no such input")
        return files[name]

    # ── executions/ ──────────────────────────────────────────────────────────────────────────

    def mkdir(self, name: str) -> Execution:
        if name.startswith("exec_"):
            fail(errno.EINVAL, "this is the form of an id")
        if name in self.executions:
            fail(errno.EEXIST, "the name is taken")
        self.requests["create"] += 1
        self.executions[name] = Execution(id="")
        return self.executions[name]

    def rmdir(self, name: str) -> None:
        self._find(name).dead = True
        del self.executions[name]
        self.requests["terminate"] += 1

    def mv(self, old: str, new: str) -> None:
        execution = self._find(old)
        if new.startswith("exec_"):
            fail(errno.EINVAL, "this is the form of an id")
        if new in self.executions and new != old:
            fail(errno.ENOTEMPTY, "the name is taken")
        del self.executions[old]
        self.executions[new] = execution

    # ── input/, by name ──────────────────────────────────────────────────────────────────────

    def open(self, execution: str, name: str, flags: int) -> Handle:
        access = flags & os.O_ACCMODE
        writable, files = access != os.O_RDONLY, self._find(execution).files
        file = files.get(name)
        if file is not None and flags & os.O_CREAT and flags & os.O_EXCL:
            fail(errno.EEXIST, "it is there")
        if file is None and not flags & os.O_CREAT:
            fail(errno.ENOENT, "no such input")
        if file is None or writable:
            self._find(execution).check_pending()
        if file is None:
            file = files[name] = File(self._find(execution), name)
        elif flags & os.O_TRUNC and (file.content or file.lacking or file.unfinished):
            file.resize(0)
        handle = Handle(file, access != os.O_WRONLY, writable, bool(flags & os.O_APPEND))
        if writable:
            file.writers.append(handle)
        elif not file.writers and file.unfinished:  # made by an open for reading
            self._left(file)
        return handle

    def truncate(self, execution: str, name: str, size: int) -> None:
        file = self._file(execution, name)
        file.execution.check_pending()
        file.resize(size)
        if not file.writers:
            self._left(file)

    def unlink(self, execution: str, name: str) -> None:
        self._file(execution, name).removed = True
        del self.executions[execution].files[name]

    def rename(self, execution: str, old: str, other: str, new: str) -> None:
        file = self._file(execution, old)
        if self._find(other) is not file.execution:
            fail(errno.EXDEV, "it is to be copied")
        if old == new:
            return
        file.execution.check_pending()
        files = file.execution.files
        if new in files:
            files[new].removed = True
        files[new] = files.pop(old)
        file.name, file.lacking, file.refused = new, True, False
        if not file.writers:
            self._upload_unheard(file)

    def chmod(self, execution: str, name: str, mode: int) -> None:
        self._file(execution, name).mode = mode

    # ── Open files ───────────────────────────────────────────────────────────────────────────

    def pread(self, handle: Handle, size: int, offset: int) -> bytes:
        if not handle.readable:
            fail(errno.EBADF, "it is open only for writing")
        return bytes(handle.file.content[offset : offset + size])

    def read(self, handle: Handle, size: int) -> bytes:
        data = self.pread(handle, size, handle.position)
        handle.position += len(data)
        return data

    def pwrite(self, handle: Handle, data: bytes, offset: int) -> int:
        if not handle.writable:
            fail(errno.EBADF, "it is open only for reading")
        if data:
            self._check_alive(handle)
            end = len(handle.file.content)
            handle.file.put(end if handle.append else offset, data)
            handle.wrote = True
        return len(data)

    def write(self, handle: Handle, data: bytes) -> int:
        size = self.pwrite(handle, data, handle.position)
        if handle.append and data:
            handle.position = len(handle.file.content)
        else:
            handle.position += size
        return size

    def seek(self, handle: Handle, offset: int) -> int:
        handle.position = offset
        return offset

    def ftruncate(self, handle: Handle, size: int) -> None:
        if not handle.writable:
            fail(errno.EINVAL, "it is open only for reading")
        self._check_alive(handle)
        handle.file.resize(size)
        handle.wrote = True

    def dup(self, handle: Handle) -> Handle:
        handle.descriptors += 1
        return handle

    def close(self, handle: Handle) -> None:
        """Close one descriptor. What the upload fails with is what this fails with."""
        handle.descriptors -= 1
        try:
            if handle.writable:
                self._check_alive(handle)
                self._upload_heard(handle)
        finally:
            if handle.descriptors == 0:
                self._release(handle)

    def killed(self, handle: Handle) -> None:
        """The process that has it open was killed."""
        if not handle.file.removed:
            handle.file.cut()
        self._release(handle)

    def _check_alive(self, handle: Handle) -> None:
        if handle.file.execution.dead:
            fail(errno.ESTALE, "its execution was terminated")

    # ── Uploads ──────────────────────────────────────────────────────────────────────────────

    def _upload_heard(self, handle: Handle) -> None:
        """The upload that a close waits for, where it is the one of an ordinary tool."""
        file = handle.file
        if file.removed or not file.declared:
            return
        if file.refused:
            fail(errno.EFBIG, "the service has refused these bytes")
        if file.torn and handle.wrote:
            fail(errno.EINVAL, "they are added to what is torn")
        empty = not file.content and not handle.wrote  # as in `: > file`, or before a group writes
        again = handle.wrote and handle.uploaded  # as in `{ a; b; } > file`
        if file.uploadable and not empty and not again:
            self._upload(file)
            handle.uploaded, handle.wrote = True, False

    def _release(self, handle: Handle) -> None:
        """The last descriptor is closed."""
        file = handle.file
        if handle.writable:
            file.writers.remove(handle)
            if not file.writers:
                self._left(file)

    def _left(self, file: File) -> None:
        """Nobody writes it any more."""
        file.unfinished = False
        self._upload_unheard(file)

    def _upload_unheard(self, file: File) -> None:
        """An upload whose failure is kept for the next close, and for `start`."""
        if file.uploadable and not file.refused:
            try:
                self._upload(file)
            except OSError:
                return

    def _upload(self, file: File) -> None:
        execution, operation = file.execution, f"upload of input {file.name}"
        content = bytes(file.content)
        self.uploads.append(Upload(execution.id, file.name, content, self.accepting))
        if not self.accepting:
            file.refused, execution.failed = True, operation
            fail(errno.EFBIG, "the service refuses it")
        execution.service[file.name] = content
        file.lacking = file.refused = False
        file.unfinished = file.unfinished and bool(file.writers)
        execution.succeeded(operation)

    # ── start, stop, wait ────────────────────────────────────────────────────────────────────

    def start(self, name: str, way: str) -> set[int]:
        """The errnos of all that stands against it, of which the mount may answer any; else none.

        `way`: `write` is told of obstacles by its open already, before any upload.
        """
        if name not in self.executions:
            return {errno.ENOENT}
        execution = self.executions[name]
        reasons = {
            "pending": execution.obstacles(),
            "running": {errno.EALREADY},
            "ended": {errno.EINVAL},
        }[execution.status]
        if execution.status == "pending" and (way != "write" or not reasons):
            for file in execution.files.values():
                if file.uploadable and not file.writers:
                    try:
                        self._upload(file)
                    except OSError as error:
                        reasons.add(error.errno or 0)
        if reasons:
            execution.failed = "start"
        else:
            self.requests["start"] += 1
            execution.status = "running"
            execution.succeeded("start")
        return reasons

    def stop(self, name: str) -> None:
        execution = self._find(name)
        if execution.status == "pending":
            execution.failed = "stop"
            fail(errno.EINVAL, "it has not been started")
        if execution.status == "running":
            self.requests["stop"] += 1
            execution.status, execution.end_reason = "ended", "normal"
        execution.succeeded("stop")

    def wait(self, name: str) -> bytes:
        execution = self._find(name)
        if execution.status == "pending":
            fail(errno.EINVAL, "it has not been started")
        assert execution.status == "ended", "this would block"
        return f"{execution.end_reason}\n".encode()

    # ── The daemon ───────────────────────────────────────────────────────────────────────────

    def restart(self) -> None:
        """The daemon has ended, and there is a new one: what was open is open no more."""
        for execution in self.executions.values():
            execution.failed = ""
            for file in execution.files.values():
                file.cut()
                file.refused = file.unfinished = False
                file.writers.clear()
