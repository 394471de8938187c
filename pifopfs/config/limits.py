"""Times of the mount itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of the mount itself, in seconds."""

    shutdown_grace: float = 10.0
    """How long a daemon that was told to end lets uploads finish."""
    watchdog: float = 120.0
    """How long a call may take before the log says where it waits."""
    server_start: float = 20.0
    """How long the embedded server may take to be ready."""
    server_linger: float = 60.0
    """How long a new embedded server outlives its last client and the last run."""
