"""A service that is down is asked once in a while only, so that calls fail at once meanwhile."""

from __future__ import annotations

import logging

import trio

from pifopfs.errors import ConnectionBroken, NoAnswer, NotSent, ServiceDown, ServiceError

log = logging.getLogger(__name__)

DOWN = (NotSent, NoAnswer, ConnectionBroken)
"""Failures that an answer of any kind would have prevented."""
FAILURES = 3
"""Calls in a row that must fail so before the service counts as down."""
LONGEST_RECHECK = 10.0
"""Seconds. A call that waits in vain is followed by as long a time without one, up to this."""


class CircuitBreaker:
    """Counts failed calls; once the service counts as down, it lets one call through at a time.

    Any answer closes the circuit, a refusal, too: somebody is there.
    """

    def __init__(self, recheck: float) -> None:
        """`recheck`: seconds between two calls that are let through."""
        self._recheck = recheck
        self._failures = 0
        self._last: ServiceError | None = None
        self._failed_at = self._next = float("-inf")

    def admit(self, tried: str) -> None:
        """Raises ServiceDown."""
        now = trio.current_time()
        if self._last is None or self._failures < FAILURES:
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

    def failed(self, error: ServiceError, took: float) -> None:
        """A call has failed, its retries included, after so many seconds."""
        if not isinstance(error, DOWN):
            self.answered()
            return
        self._failures += 1
        self._last, self._failed_at = error, trio.current_time()
        self._next = self._failed_at + max(self._recheck, min(took, LONGEST_RECHECK))
        if self._failures == FAILURES:
            log.warning("the service counts as down: %s", error)

    def answered(self) -> None:
        """The service is there."""
        if self._failures >= FAILURES:
            log.warning("the service answers again")
        self._failures = 0
