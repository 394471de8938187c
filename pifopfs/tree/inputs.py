"""One input file: what opening, writing and closing it do.

The upload rule. A flush means that some descriptor was closed, not that the file was, and a
release reaches nobody with its error. So: a flush uploads where it is the real close of an
ordinary tool; where it may be one of several (nothing written yet and nothing there; written to
again after an upload through the same handle) the release of the last writer begins it, and its
failure is kept for the next close and for `start`, which never runs on bytes the service lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pifopfs.errors import InputTorn, PifopfsError
from pifopfs.tree.early import EarlyUpload
from pifopfs.tree.inputstates import LACKING, InputEvent, InputState, after
from pifopfs.tree.uploading import UploadedInput
from pifopfs.tree.writer import Writer


@dataclass(eq=False, slots=True)
class Input(UploadedInput):
    """A file in `input/`, as the calls on it see it."""

    # ── Writing ──────────────────────────────────────────────────────────────────────────────

    def open(self, *, writing: bool, truncate: bool = False, create: bool = False) -> Writer | None:
        """Open a handle; a writable one gets a Writer."""
        self.staged.open(create=create)
        if not writing:
            return None
        self._not_early()
        writer = Writer()
        self.writers.add(writer)
        if truncate:
            try:
                self._empty()
            except PifopfsError as error:
                self.execution.note_failure(self.upload_name, error)
                self.writers.discard(writer)
                self.staged.close()
                raise
        if (truncate or create) and len(self.writers) == 1 and self.declared:
            self._early = EarlyUpload(self.remote, self.staged)
        return writer

    def _empty(self) -> None:
        if self.staged.stat().st_size or self.state is not InputState.SENT:
            self._modify(InputEvent.BEGUN)
            self.staged.truncate(0)

    def write_at_once(self, writer: Writer | None, offset: int, data: bytes) -> int:
        """Stage bytes where all is as the writer's last write left it; otherwise 0."""
        if writer is None or writer is not self._noted or self.execution.dead:
            return 0
        written = self.staged.write_at_once(offset, data)
        if written and self._early is not None:
            self._wrote(offset, written)
        return written

    def write(self, writer: Writer, offset: int, data: bytes) -> int:
        """Stage bytes. A failure leaves a hole in them. Raises LocalStorageFull and -Failed."""
        self._noted = None
        try:
            self._modify()
            self.execution.shared.closes.over(writer)
            writer.wrote = True
            self.staged.write(offset, data)
            writer.fill(offset, offset + len(data))
        except PifopfsError as error:
            self._not_early()
            writer.fail(offset, error)
            self.failure = error
            self.execution.note_failure(self.upload_name, error)
            raise
        self._wrote(offset, len(data))
        if writer.hole is None and self.state is InputState.WRITING:
            self._noted = writer
        return len(data)

    def truncate(self, size: int, writer: Writer | None) -> None:
        """Set the size. Without a writer (a truncate by path) nothing closes it later."""
        self._not_early()
        with self.execution.noted(self.upload_name):
            self._modify(InputEvent.MODIFIED if size else InputEvent.BEGUN)
            if writer is not None:
                writer.wrote = True
            self.staged.truncate(size)
            if writer is not None and writer.hole is not None and size <= writer.hole:
                writer.fill(0, writer.hole)
        self.closed()

    # ── Closing ──────────────────────────────────────────────────────────────────────────────

    async def flush(self, writer: Writer, *, killed: bool) -> None:
        """Some descriptor of the writer's handle was closed; `killed`: by its process's death.

        Raises what the upload raises: the one chance to tell an ordinary tool. InputTorn where
        the bytes were torn before, and this writer has added to them.
        """
        self.execution.check_alive()
        self._noted = None
        if self.staged.removed:
            return
        if writer.failure is not None:  # the kernel may have told of a short write only
            raise writer.failure.with_traceback(None)
        if killed:
            self._cut()
        elif self.declared and self._is_the_close(writer):
            await self._upload_at_close(writer)
            if self.state is InputState.TORN:  # another writer was killed meanwhile
                raise InputTorn(f"input/{self.name}")
            writer.uploaded, writer.wrote = True, False

    async def _upload_at_close(self, writer: Writer) -> None:
        try:
            await self.upload()
        finally:  # the bytes are whole once the kernel says so
            self.execution.shared.closes.expect(writer, partial(self.release, writer))

    def _is_the_close(self, writer: Writer) -> bool:
        """Whether a flush is the one that uploads. Raises what the tool must hear."""
        if self.failure is not None:  # of these very bytes: a modification clears it
            raise self.failure.with_traceback(None)
        if self.state is InputState.TORN and writer.wrote:
            raise InputTorn(f"input/{self.name}")
        if self.state not in LACKING:
            return False
        before_the_first_write = not writer.wrote and self.staged.stat().st_size == 0
        shared_descriptor = writer.wrote and writer.uploaded
        return not (before_the_first_write or shared_descriptor)

    def release(self, writer: Writer | None) -> None:
        """A handle is gone."""
        try:
            if writer is not None:
                self.writers.discard(writer)
                self.execution.shared.closes.over(writer)
                if writer.hole is not None:
                    self._cut()
                self.closed()
        finally:
            self.staged.close()

    def _cut(self) -> None:
        """A writer is gone in the middle. What the record has of it is as good where it fails."""
        self._generation, self._noted = self._generation + 1, None
        self._not_early()
        torn = after(self.state, InputEvent.CUT)
        if torn is not self.state:
            self.state = torn
            self.record()

    def closed(self) -> None:
        """Where the last writer is gone, begin the upload that no flush has tried.

        This does not wait for it: the kernel stops after a dozen releases that are not answered.
        """
        if not self.writers and self.state is not InputState.SENT:
            self.happen(InputEvent.CLOSED)
            self.sync_soon()
            if self.failure is None:
                self.upload_soon()

    def sync_soon(self) -> None:
        """Bring bytes that nobody uploads to the disk in the background."""
        if self.state is InputState.CLOSED:
            self.execution.shared.background.start_to_finish(self._sync_closed)

    async def _sync_closed(self) -> None:
        generation = self._latest()
        with self.staged.descriptor() as file:
            safe = await self.execution.shared.names.disk.synced(file)
        if safe and self.state is InputState.CLOSED and generation == self._generation:
            self.happen(InputEvent.SYNCED)
