"""How long a request may take, and how it is tried again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """All in seconds."""

    connect: float = 10.0
    """Until a connection is there."""
    stall: float = 30.0
    """Without any progress, in either direction."""
    total: float = 60.0
    """A whole call, retries included; bodies of inputs and outputs have no such limit."""
    create: float = 10.0
    """A request that creates or terminates an execution: a directory is locked meanwhile."""
    backoff: float = 0.1
    """The first pause between two tries; it doubles."""
    recheck: float | None = 2.0
    """Between two calls to a service that is down; others fail at once meanwhile."""
