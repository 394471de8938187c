"""A Slurm cluster of this bench's own, on this machine, and a local server that uses it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.calls import Caller
from tests.bench.place import Place
from tests.bench.processes import PROJECT, RowSkipped, cpu_seconds, run
from tests.bench.service import FOLDER, Service, served
from tests.functions import write_function

NODES, CPUS = 2, 8
"""Declared, whatever the machine has, so that jobs are not kept waiting by their number alone."""
MEGABYTES = 65536
"""Of each node, declared: the jobs here take next to nothing."""
PORTS = range(17300, 17800, NODES + 2)
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sdiag")
CLOCK, NAPPER, SLEEPER, HELD = "clock", "napper", "sleeper", "held"
NAP = 1
"""Seconds."""
SCRIPTS = {
    CLOCK: "date +%s.%N > r.txt",
    NAPPER: f"date +%s.%N > r.txt; sleep {NAP}",
    SLEEPER: "sleep 600",
    HELD: "true",
}
"""Of the functions; the jobs of HELD stay in the queue."""
LIMITS = {"max_memory": 64, "max_time": 10}
OPTIONS = ("--mem=64M", "--time=11", "--no-requeue")
"""What the server asks sbatch for, with these limits."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs, and a server of joe/* on it."""

    folder: Path
    env: Mapping[str, str]
    """For Slurm's commands."""
    service: Service
    functions: Path
    """Where those of SCRIPTS are."""

    def slurm(self, *command: object) -> str:
        """What a command of Slurm's prints. Raises RowFailed."""
        return run(command, env=self.env)

    def caller(self, function: str) -> Caller:
        """Of joe/FUNCTION."""
        service = self.service
        return Caller(service.https, function, service.ca_file, service.key(function))

    def execution(self, id_: str) -> Path:
        """Its folder."""
        (folder,) = (self.folder / "service").rglob(f"executions/{id_}")
        return folder

    def controller(self) -> float:
        """Processor seconds that slurmctld has taken."""
        return cpu_seconds([int((self.folder / "run" / "slurmctld.pid").read_text())])

    def looks(self) -> int:
        """How often the controller was asked for jobs."""
        asked = re.findall(r"REQUEST_JOB_\w*INFO\w*\s.*count:(\d+)", self.slurm("sdiag"))
        return sum(map(int, asked))


def create_and_start(caller: Caller) -> str:
    """The path of an execution that runs, or waits to."""
    made = json.loads(caller.call("POST", "/executions?include_log=false"))
    execution = f"/executions/{made['id']}"
    caller.call("POST", f"{execution}/start?include_log=false")
    return execution


def cluster(place: Place) -> Cluster:
    """The one of this bench. Raises RowSkipped where there can be none, RowFailed."""
    return place.shared("slurm", lambda: _open(place.folder / "slurm"))


@contextmanager
def _open(folder: Path) -> Iterator[Cluster]:
    _possible()
    env = {**os.environ, "SLURM_CONF": str(folder / "etc" / "slurm.conf")}
    try:
        run([PROJECT / "scripts" / "start-slurm", folder], env={**os.environ, **_wanted()})
        functions = folder / "service" / FOLDER / "joe"
        for name, script in SCRIPTS.items():
            own = {"extra": "--hold"} if name == HELD else {}
            write_function(functions / name, script, limits=LIMITS, engines={"slurm": own})
        with served(folder / "service", "--engine", "slurm", more=env) as service:
            yield Cluster(folder, env, service, functions)
    finally:
        run([PROJECT / "scripts" / "stop-slurm", folder])


def _possible() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        raise RowSkipped(f"not installed: {', '.join(missing)}")
    if os.getuid() != 0:
        raise RowSkipped("only root can start a Slurm cluster")


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin"


def _wanted() -> dict[str, str]:
    """Settings of start-slurm."""
    return {
        "SLURM_TEST_NODES": str(NODES),
        "SLURM_TEST_NODE_CPUS": str(CPUS),
        "SLURM_TEST_NODE_MB": str(MEGABYTES),
        "SLURM_TEST_PORT": str(
            next(port for port in PORTS if _free(range(port, port + NODES + 1)))
        ),
    }


def _free(ports: Sequence[int]) -> bool:
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
