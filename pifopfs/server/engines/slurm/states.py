"""What Slurm says of a job, and what that means.

From the manual of squeue (JOB STATE CODES), and seen on a cluster of 22.05.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum, auto

from pifopfs.server.sandbox.launch import Exit

SIGNALS = 0x7F
"""Of a wait status."""
LAUNCH_FAILURE = 53
"""The signal that Slurm names where it could not start a script: a folder that is not there."""


RUNNING, COMPLETING = "RUNNING", "COMPLETING"


class Fate(Enum):
    """What a state means for a run."""

    WAITING = auto()
    RUNNING = auto()
    DONE = auto()
    """It ended by itself: see its wait status."""
    OUT_OF_MEMORY = auto()
    TIMEOUT = auto()
    FAILURE = auto()
    """It was not its own doing."""


FATES = {
    "PENDING": Fate.WAITING,
    "CONFIGURING": Fate.WAITING,
    "REQUEUED": Fate.WAITING,
    "REQUEUE_FED": Fate.WAITING,
    "REQUEUE_HOLD": Fate.WAITING,
    "RESV_DEL_HOLD": Fate.WAITING,
    "SPECIAL_EXIT": Fate.WAITING,
    "POWER_UP_NODE": Fate.WAITING,
    "RUNNING": Fate.RUNNING,
    "SUSPENDED": Fate.RUNNING,
    "STOPPED": Fate.RUNNING,
    "SIGNALING": Fate.RUNNING,
    "RESIZING": Fate.RUNNING,
    "STAGE_OUT": Fate.RUNNING,
    "COMPLETING": Fate.RUNNING,
    "EXPEDITING": Fate.WAITING,
    "COMPLETED": Fate.DONE,
    "FAILED": Fate.DONE,
    "OUT_OF_MEMORY": Fate.OUT_OF_MEMORY,
    "TIMEOUT": Fate.TIMEOUT,
    "BOOT_FAIL": Fate.FAILURE,
    "CANCELLED": Fate.FAILURE,
    "DEADLINE": Fate.FAILURE,
    "LAUNCH_FAILED": Fate.FAILURE,
    "NODE_FAIL": Fate.FAILURE,
    "PREEMPTED": Fate.FAILURE,
    "RECONFIG_FAIL": Fate.FAILURE,
    "REVOKED": Fate.FAILURE,
}
"""Every state that Slurm has."""

WHY = {
    "BOOT_FAIL": "its node did not start",
    "CANCELLED": "somebody else cancelled its job",
    "DEADLINE": "its job could not end before its deadline",
    "LAUNCH_FAILED": "its job could not be launched",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "another job took its place",
    "RECONFIG_FAIL": "its node could not be reconfigured",
    "REVOKED": "its job was given to another cluster",
}
"""Failures, in words for its log."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as the queue shows it."""

    id: str
    name: str
    state: str
    reason: str = ""
    status: int = 0
    """As wait() gives it, once it has ended."""
    nodes: str = ""
    started: float | None = None
    """Seconds since the epoch; None before that."""

    @property
    def fate(self) -> Fate:
        """A state that is not known here is one of a job that still goes on."""
        return FATES.get(self.state, Fate.RUNNING)


def exit_of(seen: Seen) -> Exit | None:
    """How a job has ended; None while it goes on. Its script never ends itself by a signal."""
    code, number = _code(seen.status), seen.status & SIGNALS
    where = f" ({seen.nodes})" if seen.nodes else ""
    match seen.fate:
        case Fate.WAITING | Fate.RUNNING:
            return None
        case Fate.OUT_OF_MEMORY:
            return Exit(code or 128 + signal.SIGKILL, out_of_memory=True)
        case Fate.TIMEOUT:
            return Exit(code, timed_out=True)
        case Fate.FAILURE:
            return Exit(code, failure=f"{WHY[seen.state]}{where}")
        case Fate.DONE if number == LAUNCH_FAILURE:
            return Exit(code, failure=f"its node could not launch it{where}")
        case Fate.DONE if number:
            return Exit(code, failure=f"its batch script was killed by signal {number}{where}")
    return Exit(code)


def _code(status: int) -> int:
    """128 + N for signal N, as of a shell."""
    number = status & SIGNALS
    return 128 + number if number else status >> 8
