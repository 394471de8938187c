"""The live log: a local file that only grows, fetched while somebody looks.

Its size is always what a read can deliver at once, so that every reader sees a plain file.
"""

from __future__ import annotations

import os
import tempfile
import time

import trio

from pifopfs.errors import BadAnswer, ExecutionUnknown, ServiceError
from pifopfs.tree.background import SingleFlight
from pifopfs.tree.execution import Execution
from pifopfs.tree.storage import translated
from pifopfs.wire import LogPiece

OVERLAP = 64 * 1024
"""Bytes compared to see that a whole log continues the one that is here."""


class LiveLog:
    """The log of one execution, as far as it is here."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._file: int | None = None
        self._fetched = float("-inf")
        self._duration = 0.0
        self._fetch = SingleFlight(execution.shared.background, self._ask)
        self.size = 0
        self.complete = False
        """Fetched after the end: it will not grow any more."""
        self.changed_ns = execution.created_ns
        self.readers = 0
        """Open handles: while there are some, a look at the size may fetch."""

    async def refresh(self) -> None:
        """Fetch what is new, unless that was done just now. Raises ServiceError."""
        execution = self._execution
        if self.complete or execution.dead or execution.gone:
            return
        limit = execution.shared.settings.log_age(self._duration)
        if execution.ended or trio.current_time() - self._fetched > limit:
            await self._fetch()

    async def follow(self) -> None:
        """As `refresh`, for somebody who follows: bounded, and an outage only shows in `error`."""
        if self.readers == 0:
            return
        with trio.move_on_after(self._execution.shared.settings.freshness):
            try:
                await self.refresh()
            except ServiceError as error:
                self._execution.note_failure("log", error)

    def read(self, offset: int, size: int) -> bytes:
        """What is here of the bytes asked for."""
        if self._file is None:
            return b""
        with translated(self._execution.name):
            return os.pread(self._file, size, offset)

    def close(self) -> None:
        """Free the local bytes."""
        if self._file is not None:
            os.close(self._file)
            self._file, self.size = None, 0

    async def _ask(self) -> None:
        began = trio.current_time()
        with self._execution.attempt("log"):
            try:
                piece = await self._execution.shared.client.log(self._execution.id, self.size)
                self._take(piece)
            except ExecutionUnknown:
                self._execution.become_gone()
                return
            finally:
                self._fetched = trio.current_time()
                self._duration = self._fetched - began
        self._execution.observe(piece.execution)
        self.complete = self._execution.ended

    def _take(self, piece: LogPiece) -> None:
        """Add what is new. A log that does not continue the one here replaces it."""
        content, offset = piece.content, piece.offset
        with translated(self._execution.name):
            file = self._open()
            if offset == 0 and self.size and self._continues(content):
                content, offset = content[self.size :], self.size
            elif offset not in (0, self.size):
                raise BadAnswer(
                    f"log of {self._execution.id}", f"it was sent from byte {offset} on"
                )
            elif offset == 0 and self.size:
                os.ftruncate(file, 0)
                self.size = 0
            _write_all(file, content, offset)
        if content:
            self.size = offset + len(content)
            self.changed_ns = time.time_ns()

    def _continues(self, whole: bytes) -> bool:
        start = max(0, self.size - OVERLAP)
        return len(whole) >= self.size and whole[start : self.size] == self.read(start, OVERLAP)

    def _open(self) -> int:
        if self._file is None:
            folder = self._execution.shared.settings.cache_dir
            handle, path = tempfile.mkstemp(prefix="log-", dir=folder)
            os.unlink(path)  # noqa: PTH108  # it goes with its descriptor
            self._file = handle
        return self._file


def _write_all(file: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
