"""An execution followed from elsewhere than a mount: its end, and its log as it grows.

As a mount does it: a service that can answer when an execution ends is asked for that, others at
intervals that grow with its age; the log at most once a second. Outages are ridden out for a
bounded time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from pifopfs import wire
from pifopfs.api import FunctionClient
from pifopfs.errors import BadAnswer
from pifopfs.tree.execution import TRANSIENT
from pifopfs.tree.log import PIECE_HINT, PIECES
from pifopfs.tree.longpolls import SECONDS, LongPolls
from pifopfs.tree.settings import Settings
from pifopfs.wire import LogPiece, Status


class Watched:
    """One execution, and what the service said last of it."""

    def __init__(
        self,
        client: FunctionClient,
        seen: wire.Execution,
        settings: Settings,
        began: float | None = None,
    ) -> None:
        """`began`: when it was started, on trio's clock; None where that is not known."""
        self.client = client
        self.settings = settings
        self.id = seen.id
        self.ended = trio.Event()
        self._began = float("-inf") if began is None else began
        self._long = True
        """It may be asked for in a way that is answered at the end."""
        self.observe(seen)

    def observe(self, seen: wire.Execution) -> None:
        """The service has just said this; after the end it may have been overtaken by that."""
        self._told = trio.current_time()
        if seen.status is Status.ENDED:
            self.ended.set()
        elif self.ended.is_set():
            return
        self.seen = seen

    async def until_ended(self) -> None:
        """Return when it has ended.

        Raises ExecutionUnknown, or the service's last error when it has not answered for
        `settings.wait_outage` seconds.
        """
        answered = trio.current_time()
        while not self.ended.is_set():
            try:
                await (self._ask_for_the_end() if self._long else self._ask_later())
                answered = trio.current_time()
            except TRANSIENT:
                self._long = False  # something on the way may cut off what takes its time
                if trio.current_time() - answered > self.settings.wait_outage:
                    raise

    async def _ask_for_the_end(self) -> None:
        began = trio.current_time()
        seen = await self.client.execution(self.id, wait=SECONDS)
        self.observe(seen)
        seconds = trio.current_time() - began
        self._long = LongPolls().worth_it(seconds, waited=seen.waited)

    async def _ask_later(self) -> None:
        """Ask after the interval, unless the log has told it meanwhile."""
        interval = self.settings.poll_interval(trio.current_time() - self._began)
        with trio.move_on_after(interval):
            await self.ended.wait()
        if trio.current_time() - self._told >= interval:
            self.observe(await self.client.execution(self.id))


class LogReader:
    """Hands on the log of an execution, each byte once."""

    def __init__(self, watched: Watched, write: Callable[[bytes], Awaitable[None]]) -> None:
        self._watched = watched
        self._write = write
        self._size = 0
        """Bytes that were handed on."""
        self._duration = 0.0
        """Seconds that the last fetch took."""
        self._cost = 0
        """Bytes that the next fetch will bring once more."""

    async def follow(self) -> None:
        """Hand on what is new until the execution has ended; `rest` brings what is left then.

        An outage is no error here: who waits for the end tells of it. Raises ExecutionUnknown.
        """
        ended, settings = self._watched.ended, self._watched.settings
        while not ended.is_set():
            with trio.move_on_after(settings.follow_age(self._duration, self._cost)):
                await ended.wait()
                return
            try:
                await self._fetch(PIECES)
            except TRANSIENT:
                continue

    async def rest(self) -> None:
        """Hand on all that there is now. Raises ServiceError."""
        await self._fetch(None)

    async def _fetch(self, pieces: int | None) -> None:
        """At most so many pieces, from a service that sends pieces of a long log."""
        began = trio.current_time()
        while await self._fetch_piece() and pieces != 1:
            pieces = None if pieces is None else pieces - 1
        self._duration = trio.current_time() - began

    async def _fetch_piece(self) -> bool:
        """Whether there may be more."""
        piece = await self._watched.client.log(self._watched.id, self._size)
        new = self._new(piece)
        self._size += len(new)
        self._cost = 0 if piece.in_pieces else len(piece.content)
        if new:
            await self._write(new)
        self._watched.observe(piece.execution)
        return piece.in_pieces and len(piece.content) >= PIECE_HINT

    def _new(self, piece: LogPiece) -> bytes:
        """What was not handed on before. Raises BadAnswer."""
        if piece.offset == self._size:
            return piece.content
        if piece.offset != 0:
            raise BadAnswer(
                f"log of {self._watched.id}", f"it was sent from byte {piece.offset} on"
            )
        return piece.content[self._size :]  # all of it: the service knows of no parts
