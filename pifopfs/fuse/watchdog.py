"""Reports calls that take too long, with their stack: a mount that hangs says where.

A handler that blocks the whole event loop is reported, too: a thread writes the stacks of all
threads to standard error where the loop has not come round for as long.
"""

from __future__ import annotations

import faulthandler
import logging
import sys
import traceback

import trio

from pifopfs.fuse.calls import Call, Calls

log = logging.getLogger(__name__)


async def watch_deadlines(calls: Calls, deadline: float) -> None:
    """Report, for ever, calls that take more than `deadline` seconds; again at twice the time."""
    try:
        while True:
            faulthandler.cancel_dump_traceback_later()
            await calls.until_some()
            faulthandler.dump_traceback_later(deadline, file=sys.stderr)
            await trio.sleep(deadline / 4)
            for call in calls:
                _report(call, deadline)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _report(call: Call, deadline: float) -> None:
    seconds = trio.current_time() - call.began
    if call.patient or seconds < max(deadline, 2 * call.reported):
        return
    call.reported = seconds
    log.warning(
        "the %s, called by %s, has taken %.1f s so far:\n%s",
        call.what,
        call.find_caller(),
        seconds,
        stack(call.handler),
    )


def stack(handler: object) -> str:
    """Where a coroutine waits, from its beginning inwards."""
    frames = []
    while handler is not None:
        frame = getattr(handler, "cr_frame", None) or getattr(handler, "gi_frame", None)
        if frame is not None:
            frames.append((frame, frame.f_lineno))
        handler = getattr(handler, "cr_await", None) or getattr(handler, "gi_yieldfrom", None)
    return "".join(traceback.StackSummary.extract(iter(frames)).format())
