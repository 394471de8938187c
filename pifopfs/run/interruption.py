"""Signals: the first ends a job in order and in bounded time, a second one at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import trio

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAME = 1.0
"""Seconds in which a further signal is the first one, come another way: make and others pass on to
their children what the whole group of processes has got already.
"""


class Interruption:
    """Of one job. What is done `finishing` goes on after the first signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        """The first."""
        self._came = 0.0
        self._job = trio.CancelScope()
        self._finishing: set[trio.CancelScope] = set()
        self._at_once = False

    @contextmanager
    def cancelling(self) -> Iterator[None]:
        """The first signal cancels what is inside."""
        with self._job:
            yield

    @contextmanager
    def finishing(self, seconds: float) -> Iterator[trio.CancelScope]:
        """What must be done in any case, in so many seconds; only a second signal cancels it."""
        with trio.move_on_after(seconds, shield=True) as scope:
            self._finishing.add(scope)
            if self._at_once:
                scope.cancel()
            try:
                yield scope
            finally:
                self._finishing.discard(scope)

    async def watch(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take signals until cancelled, save those that our parent had us ignore (nohup, `&`)."""
        wanted = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        with trio.open_signal_receiver(*wanted) as signals:
            task_status.started()
            async for number in signals:
                self._take(signal.Signals(number))

    def _take(self, number: signal.Signals) -> None:
        if self.signal is None:
            self.signal, self._came = number, trio.current_time()
            self._job.cancel()
            return
        if trio.current_time() - self._came < SAME:
            return
        self._at_once = True
        for scope in self._finishing:
            scope.cancel()
