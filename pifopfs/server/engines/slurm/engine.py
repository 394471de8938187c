"""Launches runs as jobs of a cluster, and finds them again."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import trio

from pifopfs.server.engines import MemoryTooSmall
from pifopfs.server.engines.slurm.cluster import Cluster, allowed
from pifopfs.server.engines.slurm.commands import SlurmAway
from pifopfs.server.engines.slurm.files import Files
from pifopfs.server.engines.slurm.job import SlurmJob
from pifopfs.server.engines.slurm.script import write
from pifopfs.server.sandbox.isolation import Isolation
from pifopfs.server.sandbox.launch import Launch

log = logging.getLogger(__name__)

AGAIN = 10.0
"""Seconds between attempts, while Slurm does not answer."""
LEAST_MEMORY = 1 << 20
"""In less, no program starts; what Slurm itself enforces may begin far above."""


class SlurmEngine:
    """One batch job for each run."""

    name = "slurm"
    lasting = True

    def __init__(
        self, cluster: Cluster, isolation: Isolation, owner: str, nursery: trio.Nursery
    ) -> None:
        """`owner`: tells this server's jobs from those of others; the same after a restart.
        `nursery`: for what goes on beside its runs.
        """
        self._nursery = nursery
        self._known: set[str] = set()
        """The names of jobs that have runs."""
        self._cluster = cluster
        self._isolation = isolation
        self._owner = owner
        self.isolation = isolation.name
        self.user = isolation.user

    def check(self, options: Mapping[str, str]) -> None:
        self._cluster.settings.of_function(options)

    async def launch(self, launch: Launch) -> SlurmJob:
        memory = launch.limits.memory
        if memory is not None and memory < LEAST_MEMORY:
            raise MemoryTooSmall
        return await self.job(launch)

    async def job(self, launch: Launch, *more: str) -> SlurmJob:
        """Not submitted yet. `more`: words for sbatch. Raises OSError, OptionInvalid."""
        name = f"pifopfs-{self._owner}-{launch.name}"
        options = [
            *self._cluster.settings.of_function(launch.options).words(),
            *allowed(launch.limits),
            *more,
            "--no-requeue",
            "--export=ALL",
            "--chdir=/",
            "--output=/dev/null",
            f"--job-name={name}",
        ]
        self._known.add(name)
        files = await trio.to_thread.run_sync(
            write, self._isolation, launch, options, self._cluster.stop_grace
        )
        return SlurmJob(self._cluster, launch, files, name, again=False)

    async def resume(self, trace: str, launch: Launch) -> SlurmJob:
        self._known.add(trace)
        return SlurmJob(self._cluster, launch, Files.of(launch), trace, again=True)

    def sweep(self) -> None:
        """End jobs of runs whose end was told although they could not be ended: as soon as Slurm
        answers.
        """
        self._nursery.start_soon(self._end_strays)

    async def _end_strays(self) -> None:
        while True:
            try:
                for name in await self._cluster.commands.unfinished(f"pifopfs-{self._owner}-"):
                    if name not in self._known:
                        log.warning("%s has no run any more, and is cancelled", name)
                        await self._cluster.commands.cancel(name)
            except SlurmAway as error:
                log.info("strays cannot be looked for yet: %s", error)
                await trio.sleep(AGAIN)
            else:
                return
