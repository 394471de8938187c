"""One execution from its creation to its end, with nothing left behind at the service."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Protocol

import trio

from pifopfs.api import FunctionClient
from pifopfs.errors import ExecutionUnknown, OutputUnknown, ServiceError
from pifopfs.run.bringing import Bringing
from pifopfs.run.ends import End, how_ended
from pifopfs.run.following import LogReader, Watched
from pifopfs.run.interruption import Interruption
from pifopfs.run.result import Result
from pifopfs.run.sources import Source, Transfer, opened
from pifopfs.run.targets import is_stream
from pifopfs.run.together import together
from pifopfs.run.wishes import Wish, check_declared
from pifopfs.tree.settings import Settings
from pifopfs.wire import ExecutionId, FileSpec

STOPPING = 5.0
"""Seconds that a program has to end when its job is given up; as many for what comes then."""
LEAVING = 10.0
"""Seconds for the last request of a job that nobody has interrupted."""


class Audience(Protocol):
    """Who sees what a job does."""

    def kept(self, execution: ExecutionId) -> None:
        """It is about to be started, and will stay."""

    async def log(self, data: bytes) -> None:
        """More of what the program prints."""

    async def out(self, data: bytes) -> None:
        """More of the output that goes to standard output."""

    def moving(self, verb: str, transfers: Sequence[Transfer]) -> AbstractContextManager[None]:
        """These are on their way while the block runs."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done."""

    inputs: Sequence[Wish]
    outputs: Sequence[Wish]
    keep: bool = False
    """Do not terminate it once it was started."""
    partial: bool = False
    """Bring outputs, too, where the function has failed or was ended."""
    timeout: float | None = None
    """Seconds after which it is stopped."""
    quiet: bool = False
    """Nobody wants the log."""


class Job:
    """One order. `result` tells how far it came, whatever it ends with."""

    def __init__(self, order: Order, function: str, settings: Settings, audience: Audience) -> None:
        self._order = order
        self._settings = settings
        self._audience = audience
        self.interruption = Interruption()
        self.result = Result(function)
        self._start_sent = False

    async def run(self, client: AbstractAsyncContextManager[tuple[FunctionClient, str]]) -> None:
        """Do it, until a signal comes. Raises SetupError, ServiceError, OSError."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.interruption.watch)
            with self.interruption.cancelling():
                await together(partial(self._reach, client))
            nursery.cancel_scope.cancel()

    async def _reach(
        self, service: AbstractAsyncContextManager[tuple[FunctionClient, str]]
    ) -> None:
        for wish in self._order.outputs:  # before anything is waited for
            is_stream(wish)
        async with opened(self._order.inputs) as sources, service as (client, name):
            self.result.function = name
            self.result.inputs = [source.transfer for source in sources]
            function = await client.function()
            check_declared(function, self._order.inputs, self._order.outputs)
            async with self._execution(client):
                await self._go(client, sources)

    async def _go(self, client: FunctionClient, sources: Sequence[Source]) -> None:
        await self._upload(client, sources)
        watched = await self._start(client)
        try:
            await self._follow(watched)
        except ExecutionUnknown:
            self.result.end = End.GONE
        if self.result.end is End.DONE or (self._order.partial and watched.ended.is_set()):
            await self._bring(client, watched.seen.output or ())

    # ── From the creation … ──────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _execution(self, client: FunctionClient) -> AsyncIterator[None]:
        """There is an execution while the block runs, also when that is interrupted."""
        with self.interruption.finishing(inf):  # the request has a deadline of its own
            self.result.created(await client.create())
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            yield
        finally:
            await self._leave(client)

    @property
    def _id(self) -> ExecutionId:
        assert self.result.id is not None  # noqa: S101  # it was created
        return self.result.id

    async def _upload(self, client: FunctionClient, sources: Sequence[Source]) -> None:
        """All at once; the client lets so many through as it has connections."""

        async def upload(source: Source) -> None:
            await client.upload(self._id, source.transfer.name, source.content)

        transfers = [source.transfer for source in sources]
        with self._audience.moving("upload", transfers):
            await together(*(partial(upload, source) for source in sources))

    async def _start(self, client: FunctionClient) -> Watched:
        if self._order.keep:
            self._audience.kept(self._id)
        self._start_sent = True
        self.result.times.started = time.time()
        began = trio.current_time()
        return Watched(client, await client.start(self._id), self._settings, began)

    # ── … to the end ─────────────────────────────────────────────────────────────────────────

    async def _follow(self, watched: Watched) -> None:
        """Until it has ended, or our patience has. Raises ServiceError."""
        log = LogReader(watched, self._audience.log)
        tasks = [watched.until_ended] if self._order.quiet else [watched.until_ended, log.follow]
        patience = inf if self._order.timeout is None else self._order.timeout
        with trio.move_on_after(patience) as limit:
            await together(*tasks)
        over = limit.cancelled_caught
        if over:
            await self._stop(watched)
        self.result.times.ended = time.time()
        self.result.execution = watched.seen
        self.result.end = End.TIME_OVER if over else how_ended(watched.seen)
        if not self._order.quiet:
            await self._rest_of(log)

    async def _stop(self, watched: Watched) -> None:
        """Our patience is over."""

        async def stop() -> None:
            watched.observe(await watched.client.stop(self._id))

        failure = await self._last(STOPPING, stop)
        if failure:
            self.result.notes.append(f"{self._id} may still run: {failure}")

    async def _rest_of(self, log: LogReader) -> None:
        """What counts are the outputs: without the end of the log it goes on."""
        try:
            await log.rest()
        except ServiceError as error:
            self.result.notes.append(f"the log is not complete: {error}")

    async def _bring(self, client: FunctionClient, told: Sequence[FileSpec]) -> None:
        """`told`: what the service says of the outputs."""
        bringing = Bringing(client, self._id, self._settings, self._audience.out)
        try:
            transfers = bringing.plan(self._order.outputs, {spec.id: spec.size for spec in told})
            with self._audience.moving("download", transfers):
                self.result.outputs += await bringing.files()
            self.result.outputs += await bringing.streams()
        except OutputUnknown as error:
            if self.result.end is End.DONE:
                self.result.end = End.OUTPUT_MISSING
            self.result.notes.append(str(error))
        finally:
            bringing.close()

    async def _leave(self, client: FunctionClient) -> None:
        """Terminate, unless it is to be kept; what was interrupted is stopped in any case."""
        if self.result.id is None:
            return
        given_up = self._start_sent and self.result.times.ended is None
        self.result.kept = self._order.keep and self._start_sent
        if given_up and (not self.result.kept or self.interruption.signal is not None):
            await self._last(STOPPING, partial(client.stop, self._id))
        if not self.result.kept:
            patience = LEAVING if self.interruption.signal is None else STOPPING
            failure = await self._last(patience, partial(client.terminate, self._id))
            if failure:
                self.result.notes.append(f"{self._id} may be left at the service: {failure}")

    async def _last(self, seconds: float, call: Callable[[], Awaitable[object]]) -> str:
        """A request that is made also when the job was interrupted; what it failed with."""
        failure = "no answer in time"
        with self.interruption.finishing(seconds):
            try:
                await call()
                failure = ""
            except ExecutionUnknown:
                failure = ""
            except ServiceError as error:
                failure = str(error)
        return failure
