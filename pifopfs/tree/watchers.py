"""Who watches which executions with inotify, and what each of these watches waits to be told.

A watch is found elsewhere, by its inode number and its mask. Here it becomes a wish: which files
of an execution, and which events on them, in the bits of inotify(7).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import trio

from pifopfs.tree.directories import ExecutionDirectory, OutputDirectory
from pifopfs.tree.files import VALUES, LogFile, ValueFile
from pifopfs.tree.following import Follower, Tell
from pifopfs.tree.job import Job
from pifopfs.tree.looks import TakenLooks, job_of
from pifopfs.tree.nodes import Node
from pifopfs.tree.raised import ATTRIB, CLOSE_WRITE, CREATE, MODIFY

log = logging.getLogger(__name__)

WRITTEN = MODIFY | CLOSE_WRITE
"""What a program raises that writes a file."""
CHANGING = ("log", *(name for name in VALUES if name != "id"))


@dataclass(frozen=True, slots=True)
class Watch:
    """One watch of a process: its descriptor for inotify, and the number that it has there."""

    process: int
    descriptor: int
    number: int
    ino: int
    mask: int


@dataclass(slots=True)
class Wishes:
    """What the watches of one execution wait for."""

    events: dict[str, int] = field(default_factory=dict)
    """By the name of a file, or `output` for the files in it."""
    since: dict[str, int] = field(default_factory=dict)
    """Since when, for watches that are new."""

    def add(self, node: Node, mask: int) -> Collection[str]:
        """Take in a watch on a node; the names that it waits for."""
        wish: dict[str, int] = {}
        if isinstance(node, ExecutionDirectory):
            wish = dict.fromkeys(CHANGING, mask & WRITTEN)
        elif isinstance(node, OutputDirectory):
            wish = {"output": mask & (WRITTEN | CREATE)}
        elif isinstance(node, LogFile | ValueFile) and node.name in CHANGING:
            wish = {node.name: mask & WRITTEN or mask & ATTRIB}
        names = [name for name, events in wish.items() if events]
        for name in names:
            self.events[name] = self.events.get(name, 0) | wish[name]
        return names

    def new_since(self, names: Iterable[str], since: int) -> None:
        """A watch on these is new, and may have begun at that time."""
        for name in names:
            self.since[name] = min(since, self.since.get(name, since))


class Watchers:
    """All watches of one mount, and a follower for each execution that is watched."""

    def __init__(self, find: Callable[[int], Node | None], tell: Tell) -> None:
        """`find`: the node of an inode number; `tell`: called with each event to be raised."""
        self._find = find
        self._tell = tell
        self._known: frozenset[Watch] = frozenset()
        self._followers: dict[Job, Follower] = {}

    @property
    def some(self) -> bool:
        """Whether an execution that may still change is watched."""
        return bool(self._followers)

    def heed(self, watches: Collection[Watch], looks: TakenLooks, nursery: trio.Nursery) -> None:
        """From now on these are the watches; `looks` are those since the last call."""
        wishes = self._wishes(watches, looks)
        self._known = frozenset(watches)
        for job in self._followers.keys() - wishes.keys():
            self._followers.pop(job).stop()
        for job, wish in wishes.items():
            follower = self._followers.get(job)
            if follower is not None:
                follower.wish(wish.events, wish.since)
            elif self._worth_following(job, wish):
                self._follow(job, wish, nursery)
        for follower in self._followers.values():
            follower.share = len(self._followers)
            follower.tell_failure()

    def _wishes(self, watches: Collection[Watch], looks: TakenLooks) -> dict[Job, Wishes]:
        found: dict[Job, Wishes] = {}
        for watch in watches:
            node = self._find(watch.ino)
            job = job_of(node)
            if node is None or job is None or job.execution.dead:
                continue
            wishes = found.get(job, Wishes())
            names = wishes.add(node, watch.mask)
            if names:
                found[job] = wishes
            if watch not in self._known:
                wishes.new_since(names, looks.earliest_watch(node))
        return found

    def _worth_following(self, job: Job, wishes: Wishes) -> bool:
        """It may change; or it has, when a watch may have been there that was not yet found."""
        execution = job.execution
        if not execution.over:
            return True
        return any(execution.changed_ns >= since for since in wishes.since.values())

    def _follow(self, job: Job, wishes: Wishes, nursery: trio.Nursery) -> None:
        follower = self._followers[job] = Follower(job, self._tell)
        follower.wish(wishes.events, wishes.since)
        nursery.start_soon(self._run, job, follower)

    async def _run(self, job: Job, follower: Follower) -> None:
        try:
            await follower.run()
        except Exception:  # the mount goes on
            log.exception("%s is not followed any more", job.execution.name)
        finally:
            if self._followers.get(job) is follower:
                del self._followers[job]
