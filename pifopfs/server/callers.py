"""Who asks: the holder of a function's master key, or of one of its API keys."""

from __future__ import annotations

from dataclasses import dataclass

from pifopfs.server.limits import NONE, Limits


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may use one function."""

    key: str | None = None
    """The id of the API key, which no other key ever has; None for the master key."""
    limits: Limits = NONE
    """Of each of the caller's runs."""
    max_executions: int | None = None
    """How many of them may run at once."""

    @property
    def is_master(self) -> bool:
        """Whether there are no limits, and every execution of the function is seen."""
        return self.key is None


MASTER = Caller()
