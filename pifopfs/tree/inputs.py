"""One input file: its staged bytes, and when they are uploaded.

The upload rule. A flush means that some descriptor was closed, not that the file was, and a
release reaches nobody with its error. So: a flush uploads where it is the real close of an
ordinary tool; where it may be one of several (nothing written yet and nothing there; written to
again after an upload through the same handle) the release of the last writer does, and its
failure is kept for the next close and for `start`, which never runs on bytes the service lacks.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import trio

from pifopfs.errors import InputOpen, InputTorn, PifopfsError, ServiceError, Unclear
from pifopfs.tree.execution import Execution
from pifopfs.tree.inputstates import InputEvent, InputState, after
from pifopfs.tree.names import InputRow
from pifopfs.tree.storage import translated


@dataclass(eq=False, slots=True)
class Writer:
    """What one writable handle has done so far."""

    wrote: bool = False
    """… since its last flush that uploaded."""
    uploaded: bool = False
    """One of its flushes has uploaded."""
    poisoned: bool = False
    """A write failed: its bytes have a hole, and its tool knows."""


@dataclass(eq=False, slots=True)
class Input:
    """A file in `input/`. The bytes are in `path`, the state in the mount's record too."""

    execution: Execution
    name: str
    path: Path
    ino: int
    state: InputState = InputState.WRITING
    known: bool = False
    """The service may have some version of it."""
    mode: int | None = None
    """Permission bits set by chmod."""
    uid: int | None = None
    gid: int | None = None
    """Owners set by chown."""
    removed: bool = False
    """Unlinked or replaced: open handles still work, nothing is uploaded."""
    failure: PifopfsError | None = None
    """The upload that failed last, until one succeeds or the bytes change."""
    writers: set[Writer] = field(default_factory=set)
    _handles: int = 0
    _file: int | None = None
    _generation: int = 0
    """Counts modifications, so that an upload knows whether its bytes are still the latest."""
    _uploading: trio.Lock = field(default_factory=trio.Lock)

    # ── Local bytes ──────────────────────────────────────────────────────────────────────────

    @property
    def declared(self) -> bool:
        """Whether the function has such an input; other names are scratch, never uploaded."""
        return self.execution.shared.function.declares_input(self.name)

    @property
    def size(self) -> int:
        """Bytes staged; none where it was removed and nobody has it open."""
        with translated(self.name):
            return 0 if self._nowhere else self._stat().st_size

    @property
    def mtime_ns(self) -> int:
        """When it was last written, or the time that was set."""
        with translated(self.name):
            return self.execution.changed_ns if self._nowhere else self._stat().st_mtime_ns

    @property
    def _nowhere(self) -> bool:
        return self.removed and self._file is None

    @property
    def content_path(self) -> Path:
        """A path to the bytes that stays right under rename and unlink, while it is open."""
        return self.path if self._file is None else Path(f"/proc/self/fd/{self._file}")

    def _stat(self) -> os.stat_result:
        return self.path.stat() if self._file is None else os.fstat(self._file)

    def open(self, *, writing: bool, truncate: bool = False, create: bool = False) -> Writer | None:
        """Open a handle; a writable one gets a Writer. Raises LocalStorageFailed and -Full."""
        if self._file is None:
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_TRUNC if create else 0)
            with translated(self.name):
                self._file = os.open(self.path, flags, 0o600)
        self._handles += 1
        if not writing:
            return None
        writer = Writer()
        self.writers.add(writer)
        if create or (truncate and self.size):
            self._modify()
            with translated(self.name):
                os.ftruncate(self._file, 0)
        elif truncate and self.state is not InputState.SENT:
            self._modify()
        return writer

    def read(self, offset: int, size: int) -> bytes:
        """What was written."""
        assert self._file is not None  # noqa: S101  # a handle is open
        with translated(self.name):
            return os.pread(self._file, size, offset)

    def write(self, writer: Writer, offset: int, data: bytes) -> int:
        """Stage bytes. A failure poisons the writer. Raises LocalStorageFull and -Failed."""
        assert self._file is not None  # noqa: S101  # a handle is open
        try:
            self._modify()
            writer.wrote = True
            with translated(self.name):
                view = memoryview(data)
                while view:
                    written = os.pwrite(self._file, view, offset)
                    view, offset = view[written:], offset + written
        except PifopfsError as error:
            writer.poisoned = True
            self.failure = error
            raise
        return len(data)

    def truncate(self, size: int, writer: Writer | None) -> None:
        """Set the size. Without a writer (a truncate by path) nothing closes it later."""
        if writer is not None:
            writer.wrote = True
        self._modify()
        with translated(self.name):
            os.truncate(self.path if self._file is None else self._file, size)

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Remember explicit times."""
        with translated(self.name):
            now = self._stat()
            times = (
                now.st_atime_ns if atime_ns is None else atime_ns,
                now.st_mtime_ns if mtime_ns is None else mtime_ns,
            )
            os.utime(self.path if self._file is None else self._file, ns=times)

    def set_mode(self, mode: int) -> None:
        """Remember permission bits."""
        self.mode = mode & 0o777
        self.record()

    def set_owner(self, uid: int | None, gid: int | None) -> None:
        """Remember owners."""
        self.uid = self.uid if uid is None else uid
        self.gid = self.gid if gid is None else gid
        self.record()

    def _modify(self) -> None:
        self._generation += 1
        self.failure = None
        self.happen(InputEvent.MODIFIED)

    # ── State ────────────────────────────────────────────────────────────────────────────────

    def happen(self, event: InputEvent) -> None:
        """Go to the next state, and record it before anything rests on it."""
        state = after(self.state, event)
        if state is not self.state:
            self.state = state
            self.record()

    def record(self) -> None:
        """Write the state to the mount's record."""
        if not self.removed and not self.execution.dead:
            row = InputRow(self.name, self.state, self.known, self.mode, self.uid, self.gid)
            self.execution.shared.names.put_input(self.execution.serial, row)

    @property
    def lacking(self) -> bool:
        """The service lacks these bytes, and nobody is writing them."""
        return self.state in (InputState.WRITING, InputState.UNSENT) and not self.writers

    # ── Closing ──────────────────────────────────────────────────────────────────────────────

    async def flush(self, writer: Writer, *, killed: bool) -> None:
        """Some descriptor of the writer's handle was closed; `killed`: by its process's death.

        Raises what the upload raises: the one chance to tell an ordinary tool.
        """
        self.execution.check_alive()
        if writer.poisoned or self.removed:
            return
        if killed:
            self.happen(InputEvent.CUT)
            return
        if not self.declared or self.state is InputState.TORN:
            return
        if self.failure is not None:  # of these very bytes: a modification clears it
            raise self.failure.with_traceback(None)
        if self.state is InputState.SENT:
            return
        before_the_first_write = not writer.wrote and self.size == 0
        shared_descriptor = writer.wrote and writer.uploaded
        if before_the_first_write or shared_descriptor:
            return
        await self.upload()
        writer.uploaded, writer.wrote = True, False

    async def release(self, writer: Writer | None) -> None:
        """A handle is gone. The last writer's release uploads what no flush has tried to."""
        if writer is not None:
            self.writers.discard(writer)
            if writer.poisoned:
                self.happen(InputEvent.CUT)
            if not self.writers:
                self.happen(InputEvent.CLOSED)
        try:
            if writer is not None and self.lacking and self.failure is None:
                await self.upload_kept()
        finally:
            self._handles -= 1
            if self._handles == 0 and self._file is not None:
                os.close(self._file)
                self._file = None

    async def upload_kept(self) -> None:
        """Upload where nobody hears of a failure. For release and rename."""
        if self.removed or not self.declared or not self.execution.pending or self.execution.dead:
            return
        with contextlib.suppress(PifopfsError):
            await self.upload()

    async def upload(self) -> None:
        """Bring the bytes to the service, one upload at a time.

        Raises a PifopfsError, which stays in `failure` while the bytes stay as they are.
        """
        background = self.execution.shared.background
        background.begin()
        try:
            async with self._uploading:
                if self.state in (InputState.WRITING, InputState.UNSENT) and not self.removed:
                    await self._upload()
        finally:
            background.finish()

    async def _upload(self) -> None:
        execution, generation, name = self.execution, self._generation, self.name
        was_known = self.known
        self.known = True  # from here on the service may have bytes of it
        self.record()
        try:
            with execution.attempt(f"upload of input {name}"):
                execution.check_alive()
                await execution.shared.client.upload(execution.id, name, self.content_path)
        except PifopfsError as error:
            if isinstance(error, ServiceError):
                self.known = was_known or isinstance(error, Unclear)
                self.record()
            if generation == self._generation:
                self.failure = error
            execution.check_alive()
            raise
        self.failure = None
        if generation == self._generation and name == self.name:
            self.happen(InputEvent.UPLOADED)

    def check_complete(self) -> None:
        """Raises InputOpen or InputTorn: what keeps `start` from running on these bytes."""
        if self.writers:
            raise InputOpen(f"input/{self.name}")
        if self.state is InputState.TORN:
            raise InputTorn(f"input/{self.name}")
