"""Memory limits by cgroup v1, below this process's own group."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pifopfs.server.memory.control_groups import kill_members, own_group
from pifopfs.server.memory.group_guard import GroupGuard, Setting

LIMIT = "memory.limit_in_bytes"
WITH_SWAP = "memory.memsw.limit_in_bytes"


class Cgroup1(GroupGuard):
    """The kernel kills one process of a run, and counts it; killing the rest is left to us."""

    name = "cgroup v1"
    counter = "memory.oom_control"

    def settings(self, limit: int) -> Iterable[Setting]:
        yield Setting(LIMIT, str(limit))
        yield Setting(WITH_SWAP, str(limit), optional=True)  # never below the other one

    def kill(self, group: Path) -> None:
        kill_members(group)


def prepared() -> Path:
    """The group below which those of runs can be made. Raises Unavailable, OSError."""
    return own_group("cgroup", "memory", LIMIT)
