"""Which failures are tried again, and when. Only calls that do no harm twice come here."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from pifopfs import errors
from pifopfs.api.deadlines import Deadlines

TRIES = 4
QUICK_TRIES = 2
LONGEST_PAUSE = 5.0

DOWN = (errors.ConnectionRefused, errors.Unreachable)
"""Nobody is there: one more try, so that a service that is down is told of at once."""
PASSING = (
    errors.ConnectTimedOut,
    errors.NoConnectionFree,
    errors.NoAnswer,
    errors.ConnectionBroken,
    errors.ServiceBusy,
)


class Retries(Protocol):
    """Decides whether a failed call is tried again."""

    def pause(self, error: errors.ServiceError, tries: int) -> float | None:
        """Seconds to wait before the next try after `tries` failures, None: give up."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often a call may be tried."""

    deadlines: Deadlines
    server_errors: bool = False
    """Whether a 5xx answer is tried again too: for calls that only read."""

    def pause(self, error: errors.ServiceError, tries: int) -> float | None:
        """Seconds to wait before the next try after `tries` failures, None: give up."""
        limit = self._limit(error)
        if tries >= limit:
            return None
        if error.retry_after is not None:
            return error.retry_after
        pause = min(self.deadlines.backoff * 2.0 ** (tries - 1), LONGEST_PAUSE)
        return pause * random.uniform(0.5, 1.0)  # noqa: S311  # jitter

    def _limit(self, error: errors.ServiceError) -> int:
        if isinstance(error, DOWN):
            return QUICK_TRIES
        read_failed = self.server_errors and isinstance(error, errors.ServiceFailure)
        return TRIES if read_failed or isinstance(error, PASSING) else 1


class Remembering:
    """A policy that remembers whether a failed try may have been acted on."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.unclear = False

    def pause(self, error: errors.ServiceError, tries: int) -> float | None:
        self.unclear = self.unclear or isinstance(error, errors.Unclear)
        return self._policy.pause(error, tries)
