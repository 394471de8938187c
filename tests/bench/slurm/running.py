"""What runs on a cluster cost the server while they go on, and what they leave on the disk."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from pifopfs.server.engines.slurm.commands import FORMAT
from tests.bench.calls import WAIT, Caller
from tests.bench.measure import Result
from tests.bench.place import Place
from tests.bench.processes import cpu_times, eventually
from tests.bench.slurm.cluster import (
    CLOCK,
    CPUS,
    NODES,
    SLEEPER,
    Cluster,
    cluster,
    create_and_start,
)

SETTLED = 5.0


def running(place: Place) -> Iterator[Result]:
    """As many runs as there are processors, which print nothing."""
    on, count = cluster(place), NODES * CPUS
    caller = on.caller(SLEEPER)
    made = [create_and_start(caller) for _ in range(count)]
    query = ("squeue", "--noheader", "--states=RUNNING", f"--Format={FORMAT}")
    try:
        eventually(lambda: len(on.slurm(*query).splitlines()) >= count, "all run", within=120)
        said = len(on.slurm(*query)) / count
        time.sleep(SETTLED)
        before, begun = cpu_times(on.service.pid)[0], time.monotonic()
        time.sleep(place.scale.slurm_watched)
        taken = cpu_times(on.service.pid)[0] - before
        share = 1e3 * taken / (time.monotonic() - begun) / count
        files = _files(on, made[0])
        shorter = on.caller(CLOCK)
        ended = create_and_start(shorter)
        on.slurm("scancel", "--state=RUNNING", "--partition=main")  # they make room for it
        eventually(lambda: _ended(shorter, ended), "it has ended", within=60)
        left = _files(on, ended)
        shorter.call("DELETE", f"{ended}?include_log=false")
    finally:
        for execution in made:
            caller.call("DELETE", f"{execution}?include_log=false")
    yield Result("slurm-running-cpu", "ms a second, each", [share])
    yield Result("slurm-look-size", "bytes each", [said])
    yield Result("slurm-files-running", "each", [files])
    yield Result("slurm-files-ended", "each", [left])


def _ended(caller: Caller, execution: str) -> bool:
    return bool(json.loads(caller.call("GET", f"{execution}?{WAIT}"))["status"] == "ended")


def _files(on: Cluster, execution: str) -> int:
    """Files and folders of an execution."""
    return 1 + sum(1 for _ in on.execution(execution.rpartition("/")[2]).rglob("*"))
