"""A timer that interrupts a blocking read of /dev/fuse.

The binding reads it while it holds the interpreter's lock, after it was found readable; where the
caller was killed in between, the read would freeze the process until the next request. While
nothing happens no timer runs: an idle mount sleeps.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import trio

INTERVAL = 0.5
"""Seconds between signals."""


@contextmanager
def nudged() -> Iterator[None]:
    """Use it in the main thread, in trio."""
    nudges = _Nudges()
    previous = signal.signal(signal.SIGALRM, nudges.fired)
    trio.lowlevel.add_instrument(nudges)
    nudges.after_io_wait(0)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(nudges)
        _set_timer(0)
        signal.signal(signal.SIGALRM, previous)


class _Nudges(trio.abc.Instrument):
    """Invariant: the timer runs while the event loop does anything but wait.

    To start and stop it each time would cost two calls of the kernel per request: it is stopped
    only when it has fired into a wait, so that the loop is not woken by it again.
    """

    def __init__(self) -> None:
        self._runs = False
        self._waiting = False
        self._idle = False
        """It has fired while the loop waited."""

    def before_io_wait(self, timeout: float) -> None:
        self._waiting = True
        if self._idle:
            self._idle = self._runs = False
            _set_timer(0)

    def after_io_wait(self, timeout: float) -> None:
        self._waiting = False
        if not self._runs:
            self._runs = True
            _set_timer(INTERVAL)

    def fired(self, *_: object) -> None:
        """The signal's handler."""
        self._idle = self._waiting


def _set_timer(interval: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
