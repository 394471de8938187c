"""Work that outlives the call which began it: uploads at release, downloads, shared requests.

Every task has one owner, the nursery of the mount. A failure here reaches no caller, so it is
logged; what a caller must learn of it is kept by the task itself.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar, TypeVarTuple

import trio

from pifopfs.errors import NoAnswer, PifopfsError

log = logging.getLogger(__name__)

T = TypeVar("T")
Args = TypeVarTuple("Args")


class Background:
    """Starts tasks in one nursery and knows how many of them must not be cut short."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._unfinished = 0
        self._idle = trio.Event()
        self._idle.set()
        self._scopes: set[trio.CancelScope] = set()
        self.cut = False
        """What was to finish has been cut short, and nothing more of the kind is begun."""

    def start(self, function: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
        """Run `function(*args)` in the background. Its exceptions are logged."""
        self._nursery.start_soon(_guarded, function, *args)

    def start_to_finish(self, function: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
        """As `start`, for what a shutdown should let finish."""
        if self.cut:
            return
        self.begin()
        self._nursery.start_soon(self._finishing, function, *args)

    async def _finishing(
        self, function: Callable[[*Args], Awaitable[object]], *args: *Args
    ) -> None:
        try:
            await _guarded(function, *args)
        finally:
            self.finish()

    def begin(self) -> None:
        """Something has begun that a shutdown should let finish (within its grace)."""
        self._unfinished += 1
        if self._unfinished == 1:
            self._idle = trio.Event()

    def finish(self) -> None:
        """The counterpart of `begin`."""
        self._unfinished -= 1
        if self._unfinished == 0:
            self._idle.set()

    @contextmanager
    def cuttable(self, what: str) -> Iterator[None]:
        """Something that a shutdown should let finish, unless it is cut short: NoAnswer then."""
        scope = trio.CancelScope()
        self._scopes.add(scope)
        self.begin()
        if self.cut:
            scope.cancel()
        try:
            with scope:
                yield
        finally:
            self._scopes.discard(scope)
            self.finish()
        if scope.cancelled_caught:
            raise NoAnswer(what, "the mount is ending")

    def cut_short(self) -> None:
        """Cancel what is cuttable, for good."""
        self.cut = True
        for scope in self._scopes:
            scope.cancel()

    async def idle(self) -> None:
        """Return when nothing that was begun is unfinished."""
        await self._idle.wait()


async def _guarded(function: Callable[[*Args], Awaitable[object]], *args: *Args) -> None:
    try:
        await function(*args)
    except PifopfsError as error:
        log.info("in the background: %s", error)
    except Exception:
        log.exception("in the background")


class _Flight(Generic[T]):
    __slots__ = ("error", "landed", "value")

    def __init__(self) -> None:
        self.landed = trio.Event()
        self.value: T | None = None
        self.error: Exception | None = None


class SingleFlight(Generic[T]):
    """One run of an async function for any number of askers.

    An asker that is cancelled leaves the run to the others: it goes on in the background.
    """

    def __init__(self, background: Background, function: Callable[[], Awaitable[T]]) -> None:
        self._background = background
        self._function = function
        self._flight: _Flight[T] | None = None

    async def __call__(self) -> T:
        """The result of the run under way, or of a new one. Raises what the function raises."""
        flight = self._flight
        if flight is None:
            flight = self._flight = _Flight()
            self._background.start(self._fly, flight)
        await flight.landed.wait()
        if flight.error is not None:
            raise flight.error.with_traceback(None)
        return flight.value  # type: ignore[return-value]  # set whenever error is not

    async def _fly(self, flight: _Flight[T]) -> None:
        flight.error = NoAnswer("the request", "the mount is ending")
        try:
            flight.value = await self._function()
            flight.error = None
        except Exception as error:  # noqa: BLE001  # every asker gets it
            flight.error = error
        finally:
            self._flight = None
            flight.landed.set()
