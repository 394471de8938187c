"""Large inputs are sent while they are written, so that their close has little left to wait for.

Only what one writer writes from its beginning to its end is sent so, and the end of the body only
at the close: a body without its end is nothing to the service, so whatever happens meanwhile,
giving it up is enough. Where a service does not say that it has as many bytes as were written, the
input is sent once more, in the plain way, and nothing more is sent early to it.
"""

from __future__ import annotations

import logging
import os

import trio

from pifopfs.api import Growing
from pifopfs.errors import PifopfsError, Refused
from pifopfs.tree.remote import Remote
from pifopfs.tree.staged import StagedFile

log = logging.getLogger(__name__)

BEGIN = 4 << 20
"""Bytes that are written before the first are sent: most inputs are shorter."""
NOT_SUPPORTED = {400, 405, 411, 415, 422, 501}
"""How a service refuses a body whose length it is not told."""


class EarlyUpload:
    """An input that is written from its beginning on, and sent meanwhile once it is large."""

    def __init__(self, remote: Remote, staged: StagedFile) -> None:
        self.remote = remote
        """What it goes to."""
        self._staged = staged
        self._written = 0
        self._content: Growing | None = None
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self._answered = False
        self._size: int | None = None
        """What the service says that it has."""

    def wrote(self, offset: int, size: int) -> bool:
        """So many bytes were written; whether it is still of use to tell of more."""
        if offset != self._written:
            self.give_up()
            return False
        self._written += size
        if self._content is not None:
            self._content.come_to(self._written)
        elif self._written >= BEGIN:
            return self._begin()
        return True

    def _begin(self) -> bool:
        execution, remote = self.remote.execution, self.remote
        busy = remote.early is not None or remote.uploading.locked()
        if busy or not execution.pending or not execution.shared.early.possible:
            return False
        self._content = Growing(self._staged.duplicate())
        self._content.come_to(self._written)
        remote.early = self
        execution.shared.early.under_way += 1
        execution.shared.background.start(self._run, self._content)
        return True

    async def _run(self, content: Growing) -> None:
        execution, name = self.remote.execution, self.remote.name
        early = execution.shared.early
        try:
            with self._scope:
                info = await execution.shared.client.upload(execution.id, name, content)
                self._answered, self._size = True, info.size
        except PifopfsError as error:
            log.info("input %s is not sent while it is written: %s", name, error)
            if isinstance(error, Refused) and error.code in NOT_SUPPORTED:
                early.supported = False
        finally:
            os.close(content.descriptor)
            early.under_way -= 1
            self.remote.early = None
            self._over.set()

    async def finish(self, size: int) -> bool:
        """It is written, and has so many bytes; whether the service has them."""
        if self._content is None or size != self._written:
            await self.ended()
            return False
        self._content.finish()
        try:
            await self._over.wait()
        finally:
            self.give_up()
        if self._answered and self._size != size:
            log.info("input %s is sent again: the service does not say its size", self.remote.name)
            self.remote.execution.shared.early.supported = False
        return self._answered and self._size == size

    def give_up(self) -> None:
        """It is not written so any more, or nobody wants it."""
        self._scope.cancel()

    async def ended(self) -> None:
        """Give it up, and return when nothing of it is under way."""
        self.give_up()
        if self._content is not None:
            await self._over.wait()
