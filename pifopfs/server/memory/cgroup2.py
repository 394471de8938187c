"""Memory limits by cgroup v2, in a group that was delegated to this server."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable
from pathlib import Path

from pifopfs.server.memory.control_groups import (
    PROCESSES,
    ROUNDS,
    Unavailable,
    kill_members,
    members,
    own_group,
    write,
)
from pifopfs.server.memory.group_guard import GroupGuard, Setting

CONTROLLER = "memory"
AVAILABLE, GIVEN = "cgroup.controllers", "cgroup.subtree_control"
LEAF = "pifopfs-server"
"""The group into which processes move out of the way: only a group without any may have groups
below it whose memory is controlled.
"""


class Cgroup2(GroupGuard):
    """The kernel kills all of a run at once, and counts it."""

    name = "cgroup v2"
    counter = "memory.events"

    def settings(self, limit: int) -> Iterable[Setting]:
        yield Setting("memory.max", str(limit))
        yield Setting("memory.swap.max", "0", optional=True)
        yield Setting("memory.oom.group", "1", optional=True)  # Linux 4.19

    def kill(self, group: Path) -> None:
        try:
            write(group / "cgroup.kill", "1")
        except FileNotFoundError:  # before Linux 5.14
            kill_members(group)


def prepared() -> Path:
    """The group below which those of runs can be made. Raises Unavailable, OSError.

    Moves the processes in this process's group to one below it, where that is needed. May take
    some 100 ms.
    """
    group = own_group("cgroup2", "", AVAILABLE)
    if group.name == LEAF:
        group = group.parent  # another server there has moved us, or whoever started us
    if CONTROLLER not in (group / AVAILABLE).read_text().split():
        raise Unavailable(f"the group {group} was given no control of its memory")
    try:
        _give(group)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _move_away(group)
        _give(group)
    return group


def _give(group: Path) -> None:
    """Let groups below have their memory controlled. Raises OSError."""
    write(group / GIVEN, f"+{CONTROLLER}")


def _move_away(group: Path) -> None:
    leaf = group / LEAF
    leaf.mkdir(exist_ok=True)
    for _ in range(ROUNDS):
        found = members(group)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                write(leaf / PROCESSES, str(pid))
