"""How an input comes to the service: once it is closed, or early while it is written.

The service knows names, not files. What it may have under a name is kept apart (`Remote`), and
one upload at a time goes to a name, so that of two files that had it the later one counts.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from pifopfs.errors import FileRemoved, PifopfsError, ServiceError, Unclear
from pifopfs.tree.early import EarlyUpload
from pifopfs.tree.inputrecord import RecordedInput
from pifopfs.tree.inputstates import LACKING, InputEvent
from pifopfs.tree.remote import Remote
from pifopfs.tree.sending import send


@dataclass(eq=False, slots=True)
class UploadedInput(RecordedInput):
    """A file in `input/`, with its way to the service."""

    _early: EarlyUpload | None = None
    """While one writer writes it from its beginning on."""

    def _not_early(self) -> None:
        """It is not written from its beginning to its end any more."""
        if self._early is not None:
            self._early.give_up()
            self._early = None

    def _wrote(self, offset: int, size: int) -> None:
        if self._early is not None and not self._early.wrote(offset, size):
            self._early = None

    def _latest(self) -> int:
        """The present generation, for somebody who goes by it: the next write begins another."""
        self._noted = None
        return self._generation

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
