"""What can be set about the filesystem, and the few formulas of its freshness."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CROWD = 16
"""Executions of which each is asked for as if it were the only one."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All times in seconds."""

    state_dir: Path
    """Names and staged inputs of this mount; must survive a reboot."""
    cache_dir: Path
    """Downloaded outputs; may be deleted while nothing is mounted."""
    cache_size: int = 10 * 2**30
    """Bytes of complete outputs to keep."""
    freshness: float = 1.0
    """How old a status or log may be when somebody looks."""
    shortest_interval: float = 0.05
    """Between two questions for the status of an execution, at the least."""
    longest_interval: float = 2.0
    """Between two such questions, at the most."""
    gone_recheck: float = 10.0
    """How old a final status (ended, gone) may be when somebody reads it."""
    size_recheck: float = 10.0
    """How soon the size of an output is asked for again that the service did not answer."""
    function_age: float = 60.0
    """How old the Function object may be when somebody opens it."""
    log_rate: float = 256 * 1024
    """Bytes a second, on average, of a log that comes whole each time it is asked for."""
    longest_follow: float = 60.0
    """How old such a log may be, however long it is, when somebody follows it."""
    whole_wait: float = 0.25
    """How long an open waits for a whole output: it is mapped and cached like any file then."""
    patience: float = 3.0
    """How long a look in passing waits for the service: a listing, a size, an unknown id."""
    watch_interval: float = 2.0
    """How soon a look for processes that watch files with inotify is followed by the next."""
    wait_outage: float = 300.0
    """How long a read of `wait` rides out a service that does not answer."""

    def poll_interval(self, age: float) -> float:
        """Seconds between status requests while somebody waits for an execution `age` s old.

        A tenth of its age, so that its end is noticed within 10 % of its length.
        """
        return min(max(age / 10, self.shortest_interval), self.longest_interval)

    def watched_interval(self, age: float, watched: int, *, pending: bool) -> float:
        """Seconds between status requests for an execution `age` s old that is watched with
        inotify, as `watched` are: what is watched and forgotten must cost the service little.
        """
        longest = self.gone_recheck if pending else self.longest_interval
        return min(max(age / 10, self.shortest_interval), longest) * self.crowding(watched)

    def crowding(self, watched: int) -> float:
        """How much less often each is asked for when so many executions are watched."""
        return max(1.0, watched / CROWD)

    def status_age(self, age: float) -> float:
        """How old the status may be when somebody looks at an execution `age` s old."""
        return min(self.freshness, self.poll_interval(age))

    def log_age(self, last_fetch: float) -> float:
        """How old the log may be when its last fetch took `last_fetch` seconds."""
        return max(self.freshness, 10 * last_fetch)

    def follow_age(self, last_fetch: float, cost: int) -> float:
        """How old the log may be for somebody who follows it, when its last fetch took
        `last_fetch` seconds and the next one takes `cost` bytes of what is here already.
        """
        by_size = min(cost / self.log_rate, self.longest_follow)
        return max(self.log_age(last_fetch), by_size)
