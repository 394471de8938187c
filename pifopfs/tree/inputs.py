"""One input file, and when its bytes are uploaded.

The upload rule. A flush means that some descriptor was closed, not that the file was, and a
release reaches nobody with its error. So: a flush uploads where it is the real close of an
ordinary tool; where it may be one of several (nothing written yet and nothing there; written to
again after an upload through the same handle) the release of the last writer begins it, and its
failure is kept for the next close and for `start`, which never runs on bytes the service lacks.

The service knows names, not files. What it may have under a name is kept apart (`Remote`), and
one upload at a time goes to a name, so that of two files that had it the later one counts.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import partial

import trio

from pifopfs.api import OpenFile
from pifopfs.errors import InputOpen, InputTorn, PifopfsError, ServiceError, Unclear
from pifopfs.tree.execution import Execution
from pifopfs.tree.inputstates import LACKING, InputEvent, InputState, after
from pifopfs.tree.names import InputRow
from pifopfs.tree.remote import Remote
from pifopfs.tree.staged import StagedFile, synced
from pifopfs.tree.writer import Writer


@dataclass(eq=False, slots=True)
class Input:
    """A file in `input/`. Its state is in the mount's record, too."""

    remote: Remote
    """What the service has under this file's name."""
    number: int
    """Of its staged file."""
    ino: int
    staged: StagedFile
    state: InputState = InputState.WRITING
    mode: int | None = None
    """Permission bits set by chmod."""
    uid: int | None = None
    gid: int | None = None
    """Owners set by chown."""
    failure: PifopfsError | None = None
    """What the last upload of the bytes as they are failed with."""
    writers: set[Writer] = field(default_factory=set)
    _generation: int = 0
    """Counts modifications, so that an upload knows whether its bytes are still the latest."""

    @property
    def execution(self) -> Execution:
        return self.remote.execution

    @property
    def name(self) -> str:
        return self.remote.name

    @property
    def upload_name(self) -> str:
        """What its failures are told under, until an upload succeeds."""
        return f"upload of input {self.name}"

    @property
    def declared(self) -> bool:
        """Whether the function has such an input; other names are scratch, never uploaded."""
        return self.execution.shared.function.declares_input(self.name)

    @property
    def lacking(self) -> bool:
        """The service lacks these bytes, and nobody is writing them."""
        return self.state in LACKING and not self.writers

    # ── State ────────────────────────────────────────────────────────────────────────────────

    def happen(self, event: InputEvent) -> None:
        """Go to the next state, and record it before anything rests on it."""
        state = after(self.state, event)
        if state is not self.state:
            self._record(state)
            self.state = state

    def record(self) -> None:
        """Write it to the mount's record."""
        self._record(self.state)

    def _record(self, state: InputState) -> None:
        if not self.staged.removed and not self.execution.dead:
            row = InputRow(self.name, self.number, state, self.mode, self.uid, self.gid)
            self.execution.shared.names.put_input(self.execution.serial, row)

    def _modify(self, event: InputEvent = InputEvent.MODIFIED) -> None:
        self._generation += 1
        self.execution.input_changes += 1
        self.failure = None
        self.happen(event)

    def _cut(self) -> None:
        """A writer is gone in the middle. What the record has of it is as good where it fails."""
        self._generation += 1
        torn = after(self.state, InputEvent.CUT)
        if torn is not self.state:
            self.state = torn
            self.record()

    def set_mode(self, mode: int) -> None:
        """Remember permission bits."""
        self.mode = mode & 0o777
        self.record()

    def set_owner(self, uid: int | None, gid: int | None) -> None:
        """Remember owners."""
        self.uid = self.uid if uid is None else uid
        self.gid = self.gid if gid is None else gid
        self.record()

    # ── Writing ──────────────────────────────────────────────────────────────────────────────

    def open(self, *, writing: bool, truncate: bool = False, create: bool = False) -> Writer | None:
        """Open a handle; a writable one gets a Writer."""
        self.staged.open(create=create)
        if not writing:
            return None
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
        return writer

    def _empty(self) -> None:
        if self.staged.stat().st_size or self.state is not InputState.SENT:
            self._modify(InputEvent.BEGUN)
            self.staged.truncate(0)

    def write(self, writer: Writer, offset: int, data: bytes) -> int:
        """Stage bytes. A failure leaves a hole in them. Raises LocalStorageFull and -Failed."""
        try:
            self._modify()
            self.execution.shared.closes.over(writer)
            writer.wrote = True
            self.staged.write(offset, data)
            writer.fill(offset, offset + len(data))
        except PifopfsError as error:
            writer.fail(offset, error)
            self.failure = error
            self.execution.note_failure(self.upload_name, error)
            raise
        return len(data)

    def truncate(self, size: int, writer: Writer | None) -> None:
        """Set the size. Without a writer (a truncate by path) nothing closes it later."""
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
        generation = self._generation
        with self.staged.descriptor() as file:
            safe = await synced(file)
        if safe and self.state is InputState.CLOSED and generation == self._generation:
            self.happen(InputEvent.SYNCED)

    # ── Uploading ────────────────────────────────────────────────────────────────────────────

    def upload_soon(self) -> None:
        """Upload in the background what the service lacks, where it may have it."""
        if self.lacking and self.declared and self.execution.pending:
            self.execution.shared.background.start_to_finish(self._upload_kept)

    async def _upload_kept(self) -> None:
        with contextlib.suppress(PifopfsError):  # it stays in `failure`
            await self.upload()

    async def upload(self) -> None:
        """Bring the bytes to the service. Raises what is then kept in `failure`.

        Returns when the service has them, or when they are nobody's input any more.
        """
        background = self.execution.shared.background
        with background.cuttable(self.upload_name):
            while not self.staged.removed and not self.execution.dead:
                remote = self.remote
                async with remote.uploading:
                    if remote is self.remote and not self.staged.removed:
                        if self.declared and self.state in LACKING:
                            await self._upload(remote)
                        return

    async def _upload(self, remote: Remote) -> None:
        execution, generation, was_known = self.execution, self._generation, remote.known
        try:
            with execution.attempt(f"upload of input {remote.name}"):
                execution.check_alive()
                with self.staged.descriptor() as file:
                    remote.learn(known=True)  # from here on the service may have bytes of it
                    await self._send(remote, file)
        except PifopfsError as error:
            if isinstance(error, ServiceError):
                unclear = isinstance(error, Unclear) or error.after_unclear
                remote.learn(known=was_known or unclear)
            if generation == self._generation and remote is self.remote:
                self.failure = error
            execution.check_alive()
            raise
        if generation == self._generation and remote is self.remote:
            self.failure = None
            self.happen(InputEvent.FLUSHED if self.writers else InputEvent.UPLOADED)

    async def _send(self, remote: Remote, file: int) -> None:
        """Upload, and bring the bytes to the disk meanwhile."""
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(synced, file)
            try:
                execution = self.execution
                await execution.shared.client.upload(execution.id, remote.name, OpenFile(file))
            except Exception as error:  # noqa: BLE001  # the nursery would wrap it
                failure = error
        if failure is not None:
            raise failure

    def check_complete(self) -> None:
        """Raises InputOpen or InputTorn: what keeps `start` from running on these bytes."""
        if self.writers:
            raise InputOpen(f"input/{self.name}")
        if self.state is InputState.TORN:
            raise InputTorn(f"input/{self.name}")
