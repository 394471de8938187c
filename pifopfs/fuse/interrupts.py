"""A blocked call ends when a signal waits for its caller.

The kernel lets a caller of a FUSE filesystem sleep unkillably until it is answered, and this
binding passes no interrupts on. So one task looks, a few times a second and only while a call has
been blocked for a while, whether a signal is pending for its process; if so the call is cancelled
and answered with EINTR, and the signal takes its course. Without a signal EINTR is never
answered: many programs take it for a failure.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio

from pifopfs.errors import Interrupted
from pifopfs.fuse.callers import Caller

log = logging.getLogger(__name__)

T = TypeVar("T")

INTERVAL = 0.1
"""Seconds between looks; more when looking itself takes long."""


@dataclass(eq=False, slots=True)
class _Call:
    caller: Caller | int
    """Who made it, or his thread: who he is, is found out only when the call blocks."""
    ino: int
    began: float
    scope: trio.CancelScope

    def interrupted(self) -> bool:
        if isinstance(self.caller, int):
            self.caller = Caller.of(self.caller, self.ino)
        return self.caller.has_signal()


class Interrupts:
    """The calls under way."""

    def __init__(self) -> None:
        self._calls: set[_Call] = set()
        self._some = trio.Event()

    async def interruptible(
        self, caller: Caller | int, ino: int, call: Callable[[], Awaitable[T]]
    ) -> T:
        """Run `call`, on an inode, for a caller or the thread that just asked.

        Raises Interrupted when a signal is pending for him.
        """
        entry = _Call(caller, ino, trio.current_time(), trio.CancelScope())
        self._calls.add(entry)
        self._some.set()
        try:
            with entry.scope:
                return await call()
        finally:
            self._calls.discard(entry)
        raise Interrupted(f"process {caller}")

    async def watch(self) -> None:
        """Look for signals, for ever."""
        while True:
            if not self._calls:
                self._some = trio.Event()
                await self._some.wait()
            await trio.sleep(INTERVAL)
            began = trio.current_time()
            for entry in list(self._calls):
                if began - entry.began >= INTERVAL / 2:
                    self._look(entry)
            await trio.sleep(5 * (trio.current_time() - began))

    def _look(self, entry: _Call) -> None:
        try:
            if entry.interrupted():
                entry.scope.cancel()
        except Exception:  # the other calls must still be looked at
            log.exception("cannot see whether a signal waits for %s", entry.caller)
