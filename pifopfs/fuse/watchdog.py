"""Reports calls that take too long, with their stack: a mount that hangs says where.

A handler that blocks the whole event loop is reported, too: a thread writes the stacks of all
threads to standard error where the loop has not come round for as long.
"""

from __future__ import annotations

import faulthandler
import logging
import sys

import trio

from pifopfs.fuse.calls import Call, Calls
from pifopfs.observing.stacks import stack

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
        "the %s, called by %s, has taken %.1f s so far:",
        call,
        call.find_caller(),
        seconds,
        extra={"details": stack(call.handler)},
    )
