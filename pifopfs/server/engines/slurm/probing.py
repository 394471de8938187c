"""Whether every node can run what this server gives it, and sees the same files.

Each node runs a small program, just as all others, in a folder of this server: it must find what is
there, and what it leaves must be seen here.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from functools import partial
from pathlib import Path

import trio

from pifopfs.errors import ServerNotStarted
from pifopfs.server.engines.slurm.cluster import Cluster
from pifopfs.server.engines.slurm.commands import SlurmAway, SlurmRefused
from pifopfs.server.engines.slurm.engine import SlurmEngine
from pifopfs.server.limits import MEGABYTE, Limits
from pifopfs.server.sandbox.launch import Exit, Launch
from pifopfs.server.workspace import give

log = logging.getLogger(__name__)

PATIENCE = {"idle": 12.0, "mix": 3.0, "alloc": 3.0, "comp": 3.0}
"""Seconds in which a node must have answered, by its state; in other ones it is not tried."""
KILL_PATIENCE = 5.0
LIMITS = Limits(memory=64 * MEGABYTE, time=60.0)
ECHO = ("/bin/sh", "-c", "read -r word <asked && echo $word && echo $word >answered")


async def try_nodes(cluster: Cluster, engine: SlurmEngine, folder: Path) -> None:
    """Nodes that are busy or down are told in the log. Raises ServerNotStarted for one that fails:
    every run that came to it would.
    """
    nodes = await _nodes(cluster)
    await trio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
    probes = [_Probe(engine, folder / name, name, state) for name, state in nodes.items()]
    async with trio.open_nursery() as nursery:
        for probe in probes:
            nursery.start_soon(probe.run)
    await trio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))
    failed = [f"{probe.node}: {probe.failure}" for probe in probes if probe.failure]
    if failed:
        raise ServerNotStarted(
            f"nodes of the cluster cannot run functions ({'; '.join(failed)}): put --state-dir "
            "on a filesystem that all nodes share, and install bubblewrap on them; or leave such "
            "nodes out: --engine-option extra=--exclude=NODE and --engine-option probe=no"
        )
    missed = [probe.node for probe in probes if not probe.answered and not probe.refused]
    if missed:
        log.warning("nodes that were not tried, as they are busy or down: %s", ", ".join(missed))
    refused = {probe.node: probe.refused for probe in probes if probe.refused}
    if refused and len(refused) == len(probes):
        raise ServerNotStarted(
            f"Slurm takes no jobs of this server: {next(iter(refused.values()))}"
        )
    for node, why in refused.items():
        log.warning("node %s was not tried, as it is not for such jobs: %s", node, why)


async def _nodes(cluster: Cluster) -> dict[str, str]:
    """Their states; none where Slurm does not answer. Raises ServerNotStarted."""
    partition = _partition(cluster)
    try:
        nodes = await cluster.commands.nodes(partition)
    except SlurmAway as error:
        log.warning("Slurm does not answer, so its nodes cannot be tried: %s", error)
        return {}
    except SlurmRefused as error:
        raise ServerNotStarted(f"Slurm cannot be used here: {error}") from error
    if not nodes:
        where = "a default partition" if partition is None else f"a partition {partition}"
        raise ServerNotStarted(
            f"Slurm knows no nodes of {where}: see what sinfo shows, and name one: --engine-option "
            "partition=NAME"
        )
    return nodes


def _partition(cluster: Cluster) -> str | None:
    """Of jobs whose function names none, by whatever way that is said."""
    name = cluster.settings.partition or os.environ.get("SBATCH_PARTITION")
    for word in cluster.settings.extra:
        if word.startswith("--partition="):
            name = word.partition("=")[2]
    return name or None


class _Probe:
    """One node, tried."""

    def __init__(self, engine: SlurmEngine, folder: Path, node: str, state: str) -> None:
        self.node = node
        self.answered = False
        self.failure = ""
        self.refused = ""
        self._engine = engine
        self._patience = PATIENCE.get(state, 0.0)
        self._word = secrets.token_hex(8)
        name = f"probe-{node}-{self._word}"
        self._launch = Launch(name, ECHO, folder, LIMITS)

    async def run(self) -> None:
        if not self._patience:
            return
        try:
            await trio.to_thread.run_sync(self._prepare)
            job = await self._engine.job(self._launch, f"--nodelist={self.node}")
            with trio.move_on_after(self._patience):
                ended = await job.wait(lambda _: None)
                self.answered = True
                self.failure = self._wrong(ended)
            if not self.answered:
                with trio.move_on_after(KILL_PATIENCE):
                    await job.kill()
        except SlurmRefused as error:
            self.refused = str(error)
        except OSError as error:
            self.failure = error.strerror or str(error)

    def _prepare(self) -> None:
        folder, work = self._launch.folder, self._launch.work
        for path in (work, folder / "tmp"):
            path.mkdir(mode=0o700, parents=True)
        (work / "asked").write_text(f"{self._word}\n")
        for path in (work, work / "asked"):
            give(self._engine.user, path)

    def _wrong(self, ended: Exit) -> str:
        if ended.failure or ended.code:
            return ended.failure or f"a program that should do nothing exits with {ended.code}"
        try:
            answer = (self._launch.work / "answered").read_text()
        except OSError as error:
            return f"what it writes is not seen here ({error.strerror})"
        return "" if answer.strip() == self._word else "what it writes is not seen here"
