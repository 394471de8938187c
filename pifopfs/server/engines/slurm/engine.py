"""Launches runs as jobs of a cluster, and finds them again."""

from __future__ import annotations

from collections.abc import Mapping

import trio

from pifopfs.server.engines import MemoryTooSmall
from pifopfs.server.engines.slurm.cluster import Cluster, allowed
from pifopfs.server.engines.slurm.files import Files
from pifopfs.server.engines.slurm.job import SlurmJob
from pifopfs.server.engines.slurm.script import write
from pifopfs.server.sandbox.isolation import Isolation
from pifopfs.server.sandbox.launch import Launch

LEAST_MEMORY = 1 << 20
"""In less, no program starts; what Slurm itself enforces may begin far above."""


class SlurmEngine:
    """One batch job for each run."""

    name = "slurm"
    lasting = True

    def __init__(
        self, cluster: Cluster, isolation: Isolation, prefix: str, nursery: trio.Nursery
    ) -> None:
        """`prefix`: tells this server's jobs from those of others; the same after a restart.
        `nursery`: for what goes on beside its runs.
        """
        self._nursery = nursery
        self._cluster = cluster
        self._isolation = isolation
        self._prefix = prefix
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
        name = f"{self._prefix}{launch.name}"
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
        self._cluster.strays.claim(name)
        files = await trio.to_thread.run_sync(
            write, self._isolation, launch, options, self._cluster.stop_grace
        )
        return SlurmJob(self._cluster, launch, files, name, again=False)

    async def resume(self, trace: str, launch: Launch) -> SlurmJob:
        self._cluster.strays.claim(trace)
        return SlurmJob(self._cluster, launch, Files.of(launch), trace, again=True)

    def sweep(self) -> None:
        """End jobs of runs whose end was told although they could not be ended."""
        self._nursery.start_soon(self._cluster.strays.run)
