"""The live log: a local file that only grows, fetched while somebody looks.

Its size is always what a read can deliver at once, so that every reader sees a plain file.
"""

from __future__ import annotations

import os
import time

import trio

from pifopfs.errors import BadAnswer, ExecutionUnknown, ServiceError
from pifopfs.tree.background import SingleFlight
from pifopfs.tree.cache import component
from pifopfs.tree.execution import Execution
from pifopfs.tree.growth import Pieces, growth
from pifopfs.tree.storage import remove, translated
from pifopfs.wire import LogPiece, Status

LOGS = "logs"
"""The folder of the cache that they are in; emptied when a mount begins."""
PIECE_HINT = 1 << 20
"""An answer at least this long may be one piece of more, from a server that sends pieces."""
PIECES = 16
"""Pieces of a running execution's log that are fetched at once: it may grow as fast."""
OVERLAP = 64 * 1024
"""Bytes compared to see that a whole log continues the one that is here."""


class LiveLog:
    """The log of one execution, as far as it is here.

    Invariant: the file is open while somebody reads or a fetch writes, so that a thousand logs
    that were looked at cost no descriptors.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        folder = execution.shared.settings.cache_dir / LOGS
        self._path = folder / component(execution.id)
        self._file: int | None = None
        self._users = 0
        self._fetched = float("-inf")
        self._duration = 0.0
        self._cost = 0
        """Bytes that the next fetch will bring once more: all, where the service sends no part."""
        self._fetch = SingleFlight(execution.shared.background, self._ask)
        self.size = 0
        self.complete = False
        """Fetched after the end: it will not grow any more."""
        self.shown = 0
        """The size that is told: less than what is here for a moment, see `_show`."""
        self.told = 0
        """The size that the kernel knows."""
        self.ino: int | None = None
        """The number that the kernel knows it by."""
        self._changed_ns = execution.created_ns
        self.readers = 0
        """Open handles: while there are some, a look at the size may fetch."""

    @property
    def changed_ns(self) -> int:
        """When it grew; now, while it may have grown: programs that compare times must look."""
        if self._execution.pending or self.settled or self._fresh:
            return self._changed_ns
        return time.time_ns()

    @property
    def _fresh(self) -> bool:
        """As somebody who opens it wants it."""
        return self._age <= self._execution.shared.settings.log_age(self._duration)

    @property
    def _age(self) -> float:
        return trio.current_time() - self._fetched

    @property
    def grown_ns(self) -> int:
        """When it grew here."""
        return self._changed_ns

    @property
    def due(self) -> float:
        """Seconds until somebody who follows it should do so again."""
        settings = self._execution.shared.settings
        return max(0.0, settings.follow_age(self._duration, self._cost) - self._age)

    # ── Readers ──────────────────────────────────────────────────────────────────────────────

    async def join(self) -> None:
        """One more open handle, when what is new has been fetched.

        Raises ServiceError, LocalStorageFailed and -Full.
        """
        with self._execution.attempt("log"):
            self._use()
            self.readers += 1
            try:
                if self._execution.gone:
                    await self._execution.refresh()  # it may have been a false alarm
                await self.refresh()
                if self.size == 0:
                    self._execution.check_known(f"log of {self._execution.id}")
            except BaseException:
                self.leave()
                raise

    def leave(self) -> None:
        """One handle is gone."""
        self.readers -= 1
        self._unuse()

    def read(self, offset: int, size: int) -> bytes:
        """What is here of the bytes asked for. A handle must be open."""
        assert self._file is not None  # noqa: S101  # a handle is open
        with translated(self._execution.name):
            return os.pread(self._file, size, offset)

    def untold(self) -> Pieces:
        """What the kernel does not know of. A handle must be open."""
        told, self.told = self.told, self.shown
        return growth(told, self.shown, self.read)

    def die(self) -> None:
        """The execution was terminated: open handles keep what is here."""
        remove(self._path)

    def _use(self) -> None:
        if self._file is None:
            with translated(self._execution.name):
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._file = os.open(self._path, flags, 0o600)
                if os.fstat(self._file).st_size < self.size:  # somebody has emptied the cache
                    self.size = self.shown = 0
                    self.complete = False
        self._users += 1

    def _unuse(self) -> None:
        self._users -= 1
        if self._users == 0 and self._file is not None:
            os.close(self._file)
            self._file = None

    # ── Fetching ─────────────────────────────────────────────────────────────────────────────

    async def refresh(self) -> None:
        """Fetch what is new, unless that was done just now. Raises ServiceError."""
        execution = self._execution
        if self.settled or (self._fresh and not execution.ended):
            return
        await self._fetch()
        if execution.ended and not self.settled:
            await self._fetch()  # the first one may have begun before the end

    @property
    def settled(self) -> bool:
        """There is nothing more to be had."""
        return self.complete or self._execution.dead or self._execution.gone

    async def follow(self) -> None:
        """As `refresh`, for somebody who follows: bounded, and an outage only shows in `error`.

        After the end it waits for the rest, or fails: the reader takes what is here for all.
        """
        if self.readers == 0:
            return
        if not self._execution.ended:
            with trio.move_on_after(self._execution.shared.settings.freshness):
                try:
                    await self._follow()
                except ServiceError as error:
                    self._execution.note_failure("log", error)
        if self._execution.ended:
            await self.refresh()

    async def _follow(self) -> None:
        """A long log that comes whole is fetched less often; meanwhile its end is noticed."""
        settings = self._execution.shared.settings
        if self._age > settings.follow_age(self._duration, self._cost):
            await self.refresh()
        elif self._cost and not self._fresh:
            await self._execution.refresh()

    async def _ask(self) -> None:
        began = trio.current_time()
        with self._execution.attempt("log"):
            try:
                pieces = 1
                while await self._fetch_piece() and (self._execution.ended or pieces < PIECES):
                    pieces += 1
            except ExecutionUnknown:
                self._execution.become_gone()
            finally:
                self._fetched = trio.current_time()
                self._duration = self._fetched - began

    async def _fetch_piece(self) -> bool:
        """Fetch what is new; whether a server that sends long logs in pieces may have more."""
        piece = await self._execution.shared.client.log(self._execution.id, self.size)
        if self._execution.dead:
            return False
        self._use()
        try:
            overtaken = self._overtaken(piece)
            if not overtaken:
                self._take(piece)
                await self._show()
        finally:
            self._unuse()
        self._cost = 0 if piece.in_pieces else len(piece.content)
        self._execution.observe(piece.execution)
        if overtaken:
            return False
        if piece.in_pieces and len(piece.content) >= PIECE_HINT:
            return True
        self.complete = piece.execution.status is Status.ENDED
        return False

    async def _show(self) -> None:
        """Tell the new size, once the kernel has no page that ended at the old one.

        Such a page is filled with zeros, and a reader who is told the new size would take them.
        The last byte is handed over: to a question that was asked before the pages were dropped,
        the kernel takes no answer.
        """
        if self.shown == self.size:
            return
        pages, size = self._execution.shared.pages, self.size
        if self.ino is not None:
            await pages.drop(self.ino)
        self.shown = size
        if self.ino is not None and size:
            await pages.store(self.ino, size - 1, self.read(size - 1, 1))

    def _overtaken(self, piece: LogPiece) -> bool:
        """Whether it is an earlier state of the log, which another answer has overtaken."""
        content = piece.content
        shorter = piece.offset == 0 and len(content) < self.size
        return shorter and content == self.read(0, len(content))

    def _take(self, piece: LogPiece) -> None:
        """Add what is new. A log that does not continue the one here replaces it."""
        content, offset = piece.content, piece.offset
        assert self._file is not None  # noqa: S101  # it is in use
        with translated(self._execution.name):
            if offset == 0 and self.size and self._continues(content):
                content, offset = content[self.size :], self.size
            elif offset not in (0, self.size):
                raise BadAnswer(
                    f"log of {self._execution.id}", f"it was sent from byte {offset} on"
                )
            elif offset == 0:
                os.ftruncate(self._file, 0)
                self.size = 0
            _write_all(self._file, content, offset)
        if content:
            self.size = offset + len(content)
            self._changed_ns = time.time_ns()

    def _continues(self, whole: bytes) -> bool:
        start = max(0, self.size - OVERLAP)
        return len(whole) >= self.size and whole[start : self.size] == self.read(start, OVERLAP)


def _write_all(file: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
