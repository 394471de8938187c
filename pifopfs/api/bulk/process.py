"""The process that moves large bodies, as the one that needs them moved sees it."""

from __future__ import annotations

import logging
import math
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import NoReturn

import trio

from pifopfs.api.bodies import Growing, OpenFile
from pifopfs.api.bulk.channel import Channel, pair
from pifopfs.api.bulk.messages import (
    Arrived,
    Began,
    Cancel,
    Configure,
    Ended,
    Grown,
    Save,
    Send,
)
from pifopfs.api.bulk.worker import work
from pifopfs.api.incoming import Head, Incoming, Span
from pifopfs.api.progress import Progress, SharedProgress
from pifopfs.api.recording import Tally, current
from pifopfs.errors import ConnectionBroken, PifopfsError
from pifopfs.observing import ids
from pifopfs.wire import ExecutionId, InputInfo

log = logging.getLogger(__name__)

PLACES = 64
"""Transfers at once, at the most."""
CANCELLED = 2.0
"""Seconds in which what is cancelled ends; a process that does not do it is killed."""
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Sent to a group of processes; this one ends with the one that has forked it."""


Posted = tuple[object, int | None]
"""A message, and the descriptor that goes with it."""


def _nothing(_: Head) -> None:
    """An upload has no beginning to tell of."""


@dataclass(eq=False, slots=True)
class Transfer:
    """One that is under way over there."""

    progress: Progress
    began: Callable[[Head], None] = _nothing
    arrived: Callable[[], None] = lambda: None
    ended: trio.Event = field(default_factory=trio.Event)
    """It is over there, too: its place can be another's."""
    result: object = None
    error: Exception | None = None
    tally: Tally | None = None
    """What it took, where that is told."""

    def end(self, result: object, error: Exception | None) -> None:
        """There is no more to come. What it was refused with here goes first."""
        self.result, self.error = result, self.error or error
        self.ended.set()


class BulkProcess:
    """Forked from this one; it ends when this one does, however that ends."""

    def __init__(self, pid: int, end: socket.socket, progress: SharedProgress) -> None:
        self.pid = pid
        self._end = end
        self._progress = progress
        self._numbers = count()
        self._transfers: dict[int, Transfer] = {}
        self._outbox: trio.MemorySendChannel[Posted] | None = None

    @classmethod
    def fork(cls) -> BulkProcess:
        """Before there is any thread or event loop."""
        ours, theirs = pair()
        progress = SharedProgress(PLACES)
        pid = os.fork()
        if pid == 0:
            _become(theirs, progress)
        theirs.close()
        return cls(pid, ours, progress)

    @property
    def usable(self) -> bool:
        """It is there, and knows the service."""
        return self._outbox is not None

    @asynccontextmanager
    async def serving(self, make_client: Callable[[], object]) -> AsyncIterator[None]:
        """Let it work for a client like the one that `make_client` makes over there."""
        channel = Channel(self._end)
        self._outbox, messages = trio.open_memory_channel[Posted](math.inf)
        self._post(Configure(make_client))
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, channel)
                nursery.start_soon(_deliver, channel, messages)
                try:
                    yield
                except Exception as error:  # noqa: BLE001  # the nursery would wrap it
                    failure = error
                nursery.cancel_scope.cancel()
        finally:
            self._outbox = None
            channel.close()
            await self._end_of_it()
        if failure is not None:
            raise failure

    async def _end_of_it(self) -> None:
        """It ends by itself when nobody listens any more."""
        with trio.move_on_after(CANCELLED, shield=True) as scope:
            await trio.to_thread.run_sync(os.waitpid, self.pid, 0, abandon_on_cancel=True)
        if scope.cancelled_caught:
            self._kill()

    def _kill(self) -> None:
        log.error("the process that moves large bodies hangs: it is killed")
        os.kill(self.pid, signal.SIGKILL)

    def _post(self, message: object, file: int | None = None) -> None:
        if self._outbox is not None:
            self._outbox.send_nowait((message, file))

    async def _listen(self, channel: Channel) -> None:
        while (received := await channel.receive()) is not None:
            self._hear(received[0])
        self._outbox = None
        log.error("the process that moves large bodies has died; from now on this one does it")
        for transfer in self._transfers.values():
            died = ConnectionBroken("transfer", "the process that moves large bodies has died")
            transfer.end(None, died)

    def _hear(self, message: object) -> None:
        assert isinstance(message, Began | Arrived | Ended)  # noqa: S101  # it sends no others
        transfer = self._transfers.get(message.number)
        if transfer is None:
            return
        match message:
            case Began():
                self._begin(transfer, message)
            case Arrived():
                transfer.arrived()
            case Ended():
                transfer.tally = message.tally
                transfer.end(message.result, message.error)

    def _begin(self, transfer: Transfer, message: Began) -> None:
        try:
            transfer.began(message.head)
        except PifopfsError as error:
            transfer.error = error
            self._post(Cancel(message.number))

    # ── Transfers ────────────────────────────────────────────────────────────────────────────

    async def save(
        self,
        execution: ExecutionId,
        output: str,
        incoming: Incoming,
        expected: int | None,
        span: Span | None,
    ) -> None:
        """As `FunctionClient.save`."""
        with self._progress.taken() as place:
            incoming.move_to(self._progress.at(place))
            transfer = Transfer(incoming.progress, incoming.began, incoming.arrived)
            number = next(self._numbers)
            request = ids.current.get()
            order = Save(number, place, execution, output, expected, span, request)
            try:
                await self._until_ended(number, transfer, order, incoming.file)
            finally:  # the place is another's from now on
                incoming.move_to(Progress())

    async def send(
        self, execution: ExecutionId, input_id: str, content: OpenFile | Growing
    ) -> InputInfo:
        """As `FunctionClient.upload`."""
        with self._progress.taken() as place:
            number = next(self._numbers)
            growing = isinstance(content, Growing)
            whole = not isinstance(content, Growing) or content.whole
            order = Send(number, place, execution, input_id, growing, whole, ids.current.get())
            transfer = Transfer(self._progress.at(place))
            if isinstance(content, Growing):
                content.sent_elsewhere(transfer.progress, partial(self._grown, number, content))
            try:
                await self._until_ended(number, transfer, order, content.descriptor)
            finally:  # the place is another's from now on, though somebody may still write
                if isinstance(content, Growing):
                    content.sent_elsewhere(Progress(), content.wake)
            assert isinstance(transfer.result, InputInfo)  # noqa: S101  # it was asked for
            return transfer.result

    def _grown(self, number: int, content: Growing) -> None:
        self._post(Grown(number, content.whole))

    async def _until_ended(self, number: int, transfer: Transfer, order: object, file: int) -> None:
        """Give the order, and wait; what is cancelled has ended over there when this returns."""
        self._transfers[number] = transfer
        try:
            self._post(order, os.dup(file))
            await transfer.ended.wait()
        finally:
            if not transfer.ended.is_set():
                await self._cancel(number, transfer)
            del self._transfers[number]
            if transfer.tally is not None:
                current.get().take(transfer.tally)
        if transfer.error is not None:
            raise transfer.error

    async def _cancel(self, number: int, transfer: Transfer) -> None:
        self._post(Cancel(number))
        with trio.move_on_after(CANCELLED, shield=True) as scope:
            await transfer.ended.wait()
        if scope.cancelled_caught:
            self._kill()


async def _deliver(channel: Channel, messages: AsyncIterator[Posted]) -> None:
    async for message, file in messages:
        try:
            await channel.send(message, file)
        except OSError:  # it has died, as the other task finds out, too
            log.debug("a message was not delivered", exc_info=True)
        finally:
            if file is not None:
                os.close(file)


def _become(end: socket.socket, progress: SharedProgress) -> NoReturn:
    """In the child: work until the parent is gone, and exit without the parent's cleanup."""
    exit_code = 1
    try:
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        logging.disable()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        kept = os.dup2(end.detach(), 3)
        os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        trio.run(work, socket.socket(fileno=kept), progress)
        exit_code = 0
    finally:
        os._exit(exit_code)
