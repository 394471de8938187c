"""Looks at executions that may still change.

Nobody tells a filesystem that a file of it is watched with inotify. But a watch is on a path, and
the kernel asks about that when it has not done so within the last second: after a second without a
look nobody can have begun to watch, and nobody need look for watches.
"""

from __future__ import annotations

import time

import trio

from pifopfs.tree.job import Job
from pifopfs.tree.nodes import STATIC, Directory, Node

MOST = 1000
"""Nodes whose first look is kept: a find over thousands of executions looks at all they have."""


class Looks:
    """Those since they were taken the last time. Nothing is noted before somebody is interested."""

    def __init__(self) -> None:
        self._interested = False
        self._some = trio.Event()
        self._first: dict[int, int] = {}
        self._more = False
        """There were more than these."""
        self._began = time.time_ns()

    def begin(self) -> None:
        """From now on somebody takes them."""
        self._interested = True

    def note(self, node: Node) -> None:
        """Somebody looks at a node."""
        if not self._interested or node.ino in self._first:
            return
        job = job_of(node)
        if job is not None and not job.execution.over:
            if len(self._first) < MOST:
                self._first[node.ino] = time.time_ns()
            else:
                self._more = True
            self._some.set()

    def __bool__(self) -> bool:
        return bool(self._first)

    async def some(self) -> None:
        """Return when there are some."""
        await self._some.wait()

    def take(self) -> TakenLooks:
        """All that there are, and none of them again."""
        taken = TakenLooks(self._first, self._began, more=self._more)
        self._first, self._more, self._began = {}, False, time.time_ns()
        self._some = trio.Event()
        return taken


class TakenLooks:
    """The looks of a while. Times are nanoseconds of this machine's clock."""

    def __init__(self, first: dict[int, int], began: int, *, more: bool) -> None:
        """`more`: there were others than the first of each node."""
        self._first = first
        self._began = began
        self._more = more

    def __bool__(self) -> bool:
        return bool(self._first)

    def earliest_watch(self, node: Node) -> int:
        """When a watch that has come to be meanwhile can have begun at the earliest.

        To begin one on a file the kernel always asks for the file's attributes; of directories it
        may still have them.
        """
        if isinstance(node, Directory):
            return self._first.get(node.ino, self._began) - int(STATIC * 1e9)
        return self._first.get(node.ino, self._began if self._more else time.time_ns())


def job_of(node: Node | None) -> Job | None:
    """The execution that a node belongs to."""
    return getattr(node, "job", None)
