"""From a run to the id of its one job, whatever happens on the way."""

from __future__ import annotations

import logging

import trio

from pifopfs.server.engines.slurm.cluster import Cluster
from pifopfs.server.engines.slurm.commands import SlurmAway
from pifopfs.server.engines.slurm.ending import came_second
from pifopfs.server.engines.slurm.files import Files
from pifopfs.server.engines.slurm.states import exit_of

log = logging.getLogger(__name__)


class Submission:
    """Of one run. Where it is unclear whether a job was submitted, it is looked for by its name."""

    def __init__(self, cluster: Cluster, files: Files, name: str) -> None:
        self._cluster = cluster
        self._files = files
        self._name = name

    async def found(self) -> str | None:
        """Its job, where there is one: of several, the one that has begun it, or will."""
        for job in await self._cluster.queue.find(self._name):
            ended = exit_of(job)
            if ended is None or not came_second(ended, self._files.end()):
                return job.id
        return None

    async def enter(self, unwanted: trio.Event) -> bool:
        """Return when it may be submitted; False where it became unwanted before."""
        entered = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when, unwanted, nursery.cancel_scope)
            await self._cluster.pace.enter(self._name)
            entered = True
            nursery.cancel_scope.cancel()
        return entered

    async def made(self) -> str:
        """Submit it. Raises SlurmRefused."""
        script = self._files.script.read_bytes()
        options = self._files.options.read_text().split("\0")[:-1]
        while True:
            try:
                return await self._cluster.commands.submit(script, options)
            except SlurmAway as error:
                log.info("%s is not submitted yet: %s", self._name, error)
            id_ = await self.found()
            if id_ is not None:
                return id_
            await self._cluster.pace.turn()


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
