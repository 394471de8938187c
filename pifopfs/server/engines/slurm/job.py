"""One run on a node, from its submission to its end."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable

import outcome
import trio

from pifopfs.server.engines.slurm.cluster import Cluster
from pifopfs.server.engines.slurm.commands import SlurmAway
from pifopfs.server.engines.slurm.ending import (
    AGAIN,
    NEVER_BEGUN,
    came_second,
    checked,
    forgotten,
    tells_end,
)
from pifopfs.server.engines.slurm.files import Files
from pifopfs.server.engines.slurm.following import Following
from pifopfs.server.engines.slurm.queue import LONG, Watched
from pifopfs.server.engines.slurm.script import ASK, KILL
from pifopfs.server.engines.slurm.states import COMPLETING, RUNNING, Fate, exit_of
from pifopfs.server.engines.slurm.submission import Submission
from pifopfs.server.engines.slurm.waiting import tell_place
from pifopfs.server.removal import remove
from pifopfs.server.sandbox.launch import Exit, Launch

log = logging.getLogger(__name__)

KILL_TIME = 3.0
"""Seconds in which a script kills its program; after that Slurm is asked to."""
STUCK = 60.0
"""Seconds for which a job may be about to end, after its script has."""
RETRY = 1.0
"""Seconds between attempts to end a job."""


class SlurmJob:
    """A batch job. `trace` is its name, by which it is found after a restart."""

    def __init__(
        self, cluster: Cluster, launch: Launch, files: Files, trace: str, *, again: bool
    ) -> None:
        """`again`: it may have been submitted by a server before this one."""
        self.trace = trace
        self._cluster = cluster
        self._launch = launch
        self._files = files
        self._again = again
        self._submission = Submission(cluster, files, trace, doubtful=again)
        self._made = trio.current_time()
        self._watched: Watched | None = None
        self._unwanted = trio.Event()
        self._begun = trio.Event()
        self._soon = trio.Event()
        """Slurm says that it runs, so its program is about to begin, or has begun."""
        self._known = trio.Event()
        """Whether it waits or runs, or that it is over."""
        self._over = trio.Event()
        """It has ended, or never begins."""
        self._waiting = False
        """Somebody is in `wait`."""
        self._may_exist = again

    @property
    def position(self) -> int | None:
        """How many of this server's wait before it; None once it runs."""
        queue = self._cluster.queue
        if self._watched is not None:
            return queue.position(self._watched)
        here = self._cluster.pace.before(self.trace)
        return None if here is None else queue.waiting() + here

    async def release(self) -> None:
        """It is submitted by `wait`: that may take as long as the queue is."""

    async def begun(self) -> float:
        await self._begun.wait()
        await self._readable()
        began = self._files.began()
        has_run = 0.0 if began is None else max(0.0, time.time() - began)
        if self._again:
            return has_run
        return min(has_run, trio.current_time() - self._made)  # whatever the node's clock is

    async def wait(self, output: Callable[[bytes], None]) -> Exit:
        self._waiting = self._may_exist = True
        following = Following(self._files, output, self._begun.set, self._cluster.queue.hurry)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow, following, nursery.cancel_scope)
                nursery.start_soon(tell_place, following.tell, self._place)
                ended = await outcome.acapture(self._until_the_end)
                nursery.cancel_scope.cancel()
            if self._submission.doubtful:
                await self._clear()
            if isinstance(ended, outcome.Value):
                self._over.set()
            await following.finish(told=isinstance(ended, outcome.Value) and tells_end(ended.value))
            await self._readable()
            return self._checked(ended.unwrap())  # not in the nursery: it would come in a group
        finally:
            self._known.set()
            self._waiting = False

    async def _follow(self, following: Following, scope: trio.CancelScope) -> None:
        await following.run(self._cluster.looks, self._soon)
        scope.cancel()

    async def _readable(self) -> None:
        """Return when its files can be read: a filesystem of many machines may fail for a while."""
        with trio.move_on_after(STUCK):
            while not self._files.readable():  # noqa: ASYNC110  # a file has no event
                await trio.sleep(RETRY)

    def _checked(self, ended: Exit) -> Exit:
        seen = self._watched.seen if self._watched is not None else None
        nodes = seen.nodes if seen is not None else ""
        return checked(ended, self._files, self._launch, nodes, unwanted=self._unwanted.is_set())

    def _place(self) -> str:
        """Where it waits, for its log; empty once it runs."""
        before = self.position
        if before is None or self._begun.is_set():
            return ""
        seen = self._watched.seen if self._watched is not None else None
        reason = self._submission.refusal or (seen.reason if seen is not None else "")
        why = f" ({reason})" if reason not in ("", "None") else ""
        return f"it waits in the queue of the cluster, {before} of this server before it{why}"

    # ── To the end ───────────────────────────────────────────────────────────────────────────

    async def _until_the_end(self) -> Exit:
        id_ = await self._found_again() if self._again else None
        if id_ is not None:
            self._cluster.pace.join()
        elif self._files.taken or self._files.submitted.exists():
            return await self._forgotten()
        elif not await self._submission.enter(self._unwanted):
            return NEVER_BEGUN
        try:
            id_ = id_ or await self._submission.made(self._unwanted)
            return NEVER_BEGUN if id_ is None else await self._ended(id_)
        finally:
            self._cluster.pace.leave()

    async def _found_again(self) -> str | None:
        """Its job, of an earlier server. One that should be there is asked for more than once."""
        deadline = trio.current_time() + LONG
        while True:
            await self._readable()
            id_ = await self._submission.found()
            begun = self._files.taken or self._files.submitted.exists()
            over = self._files.end() is not None or trio.current_time() > deadline
            if id_ is not None or not begun or over:
                return id_
            await trio.sleep(RETRY)

    async def _ended(self, id_: str) -> Exit:
        while True:
            ended = await self._end_of(id_)
            await self._readable()
            if not came_second(ended, self._files.end()):
                return ended
            other = await self._submission.found()
            if other is None or other == id_:
                return AGAIN
            id_ = other

    async def _end_of(self, id_: str) -> Exit:
        queue = self._cluster.queue
        self._watched = watched = queue.watch(id_, self.trace)
        try:
            while True:
                seen = watched.seen
                if seen is not None:
                    self._known.set()
                    if seen.fate is Fate.RUNNING:
                        self._soon.set()
                    ended = exit_of(seen)
                    if ended is not None:
                        return ended
                if watched.forgotten or (watched.missing and self._has_left_end()):
                    return await self._forgotten()
                patience = STUCK if seen is not None and seen.state == COMPLETING else math.inf
                with trio.move_on_after(patience) as waiting:
                    await watched.news.wait()
                if waiting.cancelled_caught and self._has_left_end():
                    log.warning("%s has ended, and its node does not come to an end", self.trace)
                    return Exit(0)  # `checked` has the code
        finally:
            queue.leave(watched)

    def _has_left_end(self) -> bool:
        return self._files.readable() and self._files.end() is not None

    async def _forgotten(self) -> Exit:
        if self._unwanted.is_set() and not self._files.taken:
            return NEVER_BEGUN
        told = await self._cluster.commands.history(self.trace, self._files.since())
        return forgotten(self._files, told)

    # ── Before that ──────────────────────────────────────────────────────────────────────────

    async def stop(self) -> None:
        self._unwanted.set()
        if self._waiting:
            await self._known.wait()
        if not self._over.is_set() and await self._runs():
            await self._signal(ASK)
            with trio.move_on_after(self._cluster.stop_grace + KILL_TIME):
                await self._over.wait()
        await self.kill()

    async def kill(self) -> None:
        self._unwanted.set()
        if self._waiting:
            await self._known.wait()
        while self._may_exist and not self._over.is_set():
            if await self._runs():
                await self._signal(KILL)
                with trio.move_on_after(KILL_TIME):
                    await self._over.wait()
            if not self._over.is_set():
                await self._cancel()
            with trio.move_on_after(RETRY):
                await self._over.wait()
            if not (self._waiting or await self._submission.unfinished()):
                self._over.set()

    async def _runs(self) -> bool:
        """Whether it does now: Slurm keeps who sends a signal to a job that does not."""
        return any(job.state == RUNNING for job in await self._submission.unfinished())

    async def _clear(self) -> None:
        """End what there is of it: there may be several jobs, of which one has run it."""
        with trio.move_on_after(STUCK) as patience:
            while await self._submission.unfinished():
                await self._cancel()
                await trio.sleep(RETRY)
        if patience.cancelled_caught:
            log.warning("jobs of %s have not ended", self.trace)

    async def forget(self) -> None:
        ended = self._over.is_set() or not self._may_exist
        self._cluster.strays.leave(self.trace, ended=ended)
        await trio.to_thread.run_sync(remove, self._files.folder)

    async def _cancel(self) -> None:
        await self._tried(self._cluster.commands.cancel(self.trace))

    async def _signal(self, signal: str) -> None:
        await self._tried(self._cluster.commands.signal(self.trace, signal))

    async def _tried(self, command: Awaitable[None]) -> None:
        try:
            await command
        except SlurmAway as error:
            log.info("%s cannot be ended yet: %s", self.trace, error)
        self._cluster.queue.hurry()
