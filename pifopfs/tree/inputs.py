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

from pifopfs.errors import FileRemoved, InputOpen, InputTorn, PifopfsError, ServiceError, Unclear
from pifopfs.tree.early import EarlyUpload
from pifopfs.tree.execution import Execution
from pifopfs.tree.inputstates import LACKING, WHOLE, InputEvent, InputState, after, recorded
from pifopfs.tree.pageusers import PageUsers
from pifopfs.tree.remote import Remote
from pifopfs.tree.rows import InputRow
from pifopfs.tree.sending import send
from pifopfs.tree.staged import StagedFile
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
    pages: PageUsers = field(default_factory=PageUsers)
    _generation: int = 0
    """Counts modifications, so that an upload knows whether its bytes are still the latest."""
    _noted: Writer | None = None
    """Whose last write is noted all over: another one right after it adds nothing to that. None
    when an upload or a sync goes by the present generation.
    """

    _synced: bool = True
    """What the service has of it is on the disk here, too."""
    _early: EarlyUpload | None = None
    """While one writer writes it from its beginning on."""

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
        if self._said(state) is not self._said(self.state):
            self._record(state, safe=self.state in WHOLE and state not in WHOLE)
        self.state = state

    def _said(self, state: InputState) -> InputState:
        return recorded(state, synced=self._synced)

    def record(self) -> None:
        """Write it to the mount's record."""
        self._record(self.state)

    def _record(self, state: InputState, *, safe: bool = False) -> None:
        """`safe` before the bytes that the record calls whole change. All else is within moments:
        a power cut before that leaves a torn input, or, where the service cannot have any of it,
        none of a new one.
        """
        if not self.staged.removed and not self.execution.dead:
            shared, said = self.execution.shared, self._said(state)
            row = InputRow(self.name, self.number, said, self.mode, self.uid, self.gid)
            shared.names.put_input(self.execution.serial, row, safe=safe)
            if not safe and not shared.names.settling:
                shared.background.start_to_finish(shared.names.settle)

    def _modify(self, event: InputEvent = InputEvent.MODIFIED) -> None:
        self._generation += 1
        self.execution.input_changes += 1
        self.failure = None
        self.happen(event)

    def _cut(self) -> None:
        """A writer is gone in the middle. What the record has of it is as good where it fails."""
        self._generation, self._noted = self._generation + 1, None
        self._not_early()
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

    def _not_early(self) -> None:
        """It is not written from its beginning to its end any more."""
        if self._early is not None:
            self._early.give_up()
            self._early = None

    def _wrote(self, offset: int, size: int) -> None:
        if self._early is not None and not self._early.wrote(offset, size):
            self._early = None

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

    def _latest(self) -> int:
        """The present generation, for somebody who goes by it: the next write begins another."""
        self._noted = None
        return self._generation

    async def _sync_closed(self) -> None:
        generation = self._latest()
        with self.staged.descriptor() as file:
            safe = await self.execution.shared.names.disk.synced(file)
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
        execution, generation, was_known = self.execution, self._latest(), remote.known
        try:
            with execution.attempt(f"upload of input {remote.name}"):
                execution.check_alive()
                with self.staged.descriptor() as file:
                    remote.learn(known=True)
                    synced = await send(
                        execution, remote.name, file, await self._take_early(remote)
                    )
        except PifopfsError as error:
            if isinstance(error, ServiceError):
                unclear = isinstance(error, Unclear) or error.after_unclear
                remote.learn(known=was_known or unclear)
            if generation == self._generation and remote is self.remote:
                self.failure = error
            execution.check_alive()
            raise
        if generation == self._generation and remote is self.remote:
            self.failure, self._synced = None, synced
            self.happen(InputEvent.FLUSHED if self.writers else InputEvent.UPLOADED)
            if not synced:
                execution.shared.background.start_to_finish(self._sync_sent, generation)

    async def _take_early(self, remote: Remote) -> EarlyUpload | None:
        """What was sent to that name while it was written; nothing else is on its way there."""
        early, self._early = self._early, None
        if early is not None and early.remote is not remote:
            early.give_up()
            early = None
        await remote.end_others(early)
        return early

    async def _sync_sent(self, generation: int) -> None:
        """Nobody waits for it: until it is done the record does not call the bytes safe."""
        with contextlib.suppress(FileRemoved), self.staged.descriptor() as file:
            safe = await self.execution.shared.names.disk.synced_apart(file)
            if safe and generation == self._generation:
                self._synced = True
                self.record()

    def check_complete(self) -> None:
        """Raises InputOpen or InputTorn: what keeps `start` from running on these bytes."""
        if self.writers:
            raise InputOpen(f"input/{self.name}")
        if self.state is InputState.TORN:
            raise InputTorn(f"input/{self.name}")
