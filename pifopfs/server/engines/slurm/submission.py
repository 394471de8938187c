"""From a run to the id of its one job, whatever happens on the way."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from pifopfs.server.engines.slurm.cluster import Cluster
from pifopfs.server.engines.slurm.commands import SlurmAway, SlurmRefused
from pifopfs.server.engines.slurm.ending import came_second
from pifopfs.server.engines.slurm.files import Files
from pifopfs.server.engines.slurm.states import Fate, Seen, exit_of

log = logging.getLogger(__name__)


class Submission:
    """Of one run. Where it is unclear whether a job was submitted, it is looked for by its name."""

    def __init__(self, cluster: Cluster, files: Files, name: str, *, doubtful: bool) -> None:
        self._cluster = cluster
        self._files = files
        self._name = name
        self.doubtful = doubtful
        """There may be more than one job, although only one ever begins the run."""
        self.refusal = ""
        """Why Slurm does not take it now."""

    async def found(self) -> str | None:
        """Its job, where there is one: of several, the one that has begun it, or will."""
        end = self._files.end()
        jobs = [
            (job.fate is Fate.WAITING, int(job.id), job.id)
            for job in await self._cluster.queue.find(self._name)
            if not came_second(exit_of(job), end)
        ]
        return min(jobs)[2] if jobs else None

    async def unfinished(self) -> list[Seen]:
        """All its jobs that have not ended."""
        jobs = await self._cluster.queue.find(self._name)
        return [job for job in jobs if exit_of(job) is None]

    async def enter(self, unwanted: trio.Event) -> bool:
        """Return when there is a place for it; False where it became unwanted before."""
        return await _before(unwanted, partial(self._cluster.pace.enter, self._name))

    async def made(self, unwanted: trio.Event) -> str | None:
        """Submit it; None where it became unwanted before. Raises SlurmRefused."""
        pace = self._cluster.pace
        script = self._files.script.read_bytes()
        options = self._files.options.read_text().split("\0")[:-1]
        kind = "\0".join(word for word in options if self._name not in word)
        while True:
            try:
                id_ = await self._cluster.commands.submit(script, options)
            except SlurmAway as error:
                log.info("%s is not submitted yet: %s", self._name, error)
                self.refusal = str(error).splitlines()[0]
                self.doubtful = True
            except SlurmRefused:
                pace.took(kind)
                raise
            else:
                pace.took(kind)
                self.refusal = ""
                self._note()
                return id_
            found = await self.found()
            if found is not None:
                self.refusal = ""
                return found
            if not await _before(unwanted, partial(pace.try_again, kind, self._name)):
                return None

    def _note(self) -> None:
        try:
            self._files.submitted.touch()
        except OSError as error:
            log.warning("%s was submitted, which cannot be noted: %s", self._name, error)


async def _before(unwanted: trio.Event, wait: Callable[[], Awaitable[None]]) -> bool:
    """Whether a wait was over before its run became unwanted."""
    over = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when, unwanted, nursery.cancel_scope)
        await wait()
        over = True
        nursery.cancel_scope.cancel()
    return over


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
