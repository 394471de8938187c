"""A blocked call ends when a signal waits for its caller.

The kernel lets a caller of a FUSE filesystem sleep unkillably until it is answered, and this
binding passes no interrupts on. So one task looks, a few times a second and only while a call has
been blocked for a while, whether a signal is pending for its process; if so the call is cancelled
and answered with EINTR, and the signal takes its course. Without a signal EINTR is never
answered: many programs take it for a failure.
"""

from __future__ import annotations

import logging

import trio

from pifopfs.fuse.calls import Call, Calls
from pifopfs.fuse.processes import Processes

log = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between looks; more when looking itself takes long."""
LONGEST_INTERVAL = 1.0
SHARE = 5
"""Looking takes one part in so many, and one, of the processor's time."""
SLICE = 0.005
"""Seconds of looking after which others have their turn."""


async def watch_signals(calls: Calls) -> None:
    """Cancel calls whose caller has a signal, for ever."""
    while True:
        await calls.until_some()
        await trio.sleep(INTERVAL)
        spent = await _look_at_all(calls)
        await trio.sleep(min(SHARE * spent, LONGEST_INTERVAL))


async def _look_at_all(calls: Calls) -> float:
    """The seconds that it took."""
    processes = Processes()
    spent, began = 0.0, trio.current_time()
    for call in calls:
        if began - call.began >= INTERVAL / 2:
            _look(call, processes)
        now = trio.current_time()
        if now - began >= SLICE:
            spent += now - began
            await trio.lowlevel.checkpoint()
            began = trio.current_time()
    return spent + trio.current_time() - began


def _look(call: Call, processes: Processes) -> None:
    try:
        if call.find_caller().has_signal(processes, stops=call.patient):
            call.scope.cancel()
    except Exception:  # the other calls must still be looked at
        log.exception("cannot see whether a signal waits for the %s", call)
