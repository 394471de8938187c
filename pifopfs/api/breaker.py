"""A service that is down is asked once in a while only, so that calls fail at once meanwhile.

Two things tell that it is down: that nobody can be reached, which holds for every call; and that
requests were sent and nothing came back at all, which may be one bad endpoint of a good service.
So of the latter a call is held back only where its own kind has failed, too.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

import trio

from pifopfs.api.answers import Call
from pifopfs.errors import (
    ConnectionBroken,
    NoAnswer,
    NoConnectionFree,
    NotSent,
    ServiceDown,
    ServiceError,
)

log = logging.getLogger(__name__)

NOTHING_CAME = (NoAnswer, ConnectionBroken)
FAILURES = 3
"""Calls in a row that must fail so before the service counts as down."""
LONGEST_RECHECK = 10.0
"""Seconds. A call that waits in vain is followed by as long a time without one, up to this."""


class CircuitBreaker:
    """Counts failed calls; once the service counts as down, it lets one call through at a time.

    Any answer closes the circuit for its kind of call, a refusal, too: somebody is there.
    """

    def __init__(self, recheck: float | None) -> None:
        """`recheck`: seconds between two calls that are let through; None: it is never down."""
        self._recheck = recheck or 0.0
        self._watches = recheck is not None
        self._unreachable = self._in_a_row = 0
        """Failures since the last answer: nobody was reached; of any kind."""
        self._failures: Counter[Call] = Counter()
        """Of each kind since its last answer."""
        self._answered: dict[Call, float] = {}
        self._last: ServiceError | None = None
        self._failed_at = self._next = float("-inf")
        self.down_since: float | None = None
        """Since when it counts as down, for any kind of call, on the wall clock; None while up."""

    def _down(self, call: Call) -> bool:
        if not self._watches:
            return False
        mine = self._failures[call]
        every = self._in_a_row >= FAILURES and mine > 0
        return self._unreachable >= FAILURES or mine >= FAILURES or every

    def admit(self, call: Call, tried: str) -> None:
        """Raises ServiceDown."""
        now = trio.current_time()
        if self._last is None or not self._down(call):
            return
        if now >= self._next:
            self._next = now + self._recheck
            return
        raise ServiceDown(
            tried,
            f"{self._last.answer} (so it was {now - self._failed_at:.1f} s ago; "
            f"the service is asked again in {self._next - now:.1f} s)",
            self._last,
        )

    def failed(self, call: Call, error: ServiceError, began: float) -> None:
        """A call has failed, its retries included, which began at that time of trio's clock."""
        reached = not isinstance(error, NotSent)
        if reached and not isinstance(error, NOTHING_CAME):
            self.answered(call)
        if isinstance(error, NoConnectionFree) or self._answered.get(call, -1.0) >= began:
            return
        if began < self._failed_at:  # at the same time as one that was counted
            return
        was_down = self._down(call)
        self._unreachable += not reached
        self._in_a_row += 1
        self._failures[call] += 1
        self._last, self._failed_at = error, trio.current_time()
        took = self._failed_at - began
        self._next = self._failed_at + max(self._recheck, min(took, LONGEST_RECHECK))
        if self._down(call) and not was_down:
            self.down_since = self.down_since or time.time()
            log.warning("the service counts as down: %s", error)

    def answered(self, call: Call) -> None:
        """The service is there."""
        if self._down(call):
            log.warning("the service answers again")
        self._answered[call] = trio.current_time()
        self._unreachable = self._in_a_row = self._failures[call] = 0
        if self.down_since is not None and not any(map(self._down, self._failures)):
            self.down_since = None
