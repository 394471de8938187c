"""What all runs of a server share of its cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pifopfs.server.engines.slurm.commands import Commands
from pifopfs.server.engines.slurm.following import Looks
from pifopfs.server.engines.slurm.pace import Pace
from pifopfs.server.engines.slurm.queue import Queue
from pifopfs.server.engines.slurm.settings import Settings
from pifopfs.server.engines.slurm.strays import Strays
from pifopfs.server.limits import MEGABYTE, MINUTE, Limits


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster, as this server uses it."""

    commands: Commands
    queue: Queue
    pace: Pace
    looks: Looks
    strays: Strays
    settings: Settings
    stop_grace: float
    """Seconds between SIGTERM and SIGKILL."""


def allowed(limits: Limits) -> list[str]:
    """Limits, for the command line of sbatch. Times are whole minutes, one more than allowed: the
    server itself ends a run in time.
    """
    words = []
    if limits.memory is not None:
        words.append(f"--mem={math.ceil(limits.memory / MEGABYTE)}M")
    if limits.time is not None:
        words.append(f"--time={math.ceil(limits.time / MINUTE) + 1}")
    return words
