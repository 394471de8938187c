"""The engine of a cluster, once its nodes have been tried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import outcome
import trio

from pifopfs.server.engines.finding import EngineSettings
from pifopfs.server.engines.opening import make_isolation
from pifopfs.server.engines.slurm.cluster import Cluster
from pifopfs.server.engines.slurm.commands import Commands
from pifopfs.server.engines.slurm.engine import SlurmEngine
from pifopfs.server.engines.slurm.following import Looks
from pifopfs.server.engines.slurm.pace import Pace
from pifopfs.server.engines.slurm.probing import try_nodes
from pifopfs.server.engines.slurm.queue import Queue
from pifopfs.server.engines.slurm.settings import Settings
from pifopfs.server.engines.slurm.strays import Strays


@asynccontextmanager
async def open_slurm(settings: EngineSettings) -> AsyncIterator[SlurmEngine]:
    """Raises OptionInvalid, and ServerNotStarted where a node cannot run what others can."""
    given = Settings.of(settings.options)
    commands = Commands()
    prefix = f"pifopfs-{settings.owner}-"
    cluster = Cluster(
        commands,
        Queue(commands),
        Pace(given.rate, given.most),
        Looks(),
        Strays(commands, prefix),
        given,
        settings.stop_grace,
    )
    isolation = make_isolation(
        settings.isolation, f"pifopfs-{settings.owner}", settings.run_as, settings.descriptors
    )
    async with trio.open_nursery() as nursery:
        engine = SlurmEngine(cluster, isolation, prefix, nursery)
        nursery.start_soon(cluster.queue.run)
        nursery.start_soon(cluster.looks.run)
        tried = await outcome.acapture(_try_nodes, cluster, engine, settings)
        if isinstance(tried, outcome.Value):
            yield engine
        nursery.cancel_scope.cancel()
    tried.unwrap()  # not in the nursery: a failure would come in a group


async def _try_nodes(cluster: Cluster, engine: SlurmEngine, settings: EngineSettings) -> None:
    if cluster.settings.probe:
        await try_nodes(cluster, engine, settings.state / "probes")
