"""What it costs to look at the queue, as jobs in it grow in number: all of them are on hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Result, at_most
from tests.bench.place import Place
from tests.bench.processes import cpu_times, eventually, memory
from tests.bench.slurm.cluster import HELD, Cluster, cluster, create_and_start

SETTLED = 10.0
"""Seconds after which looks are as rare as they get."""
PATIENCE = 180.0
LOOKS = at_most(60)
"""A minute."""
SHARE = at_most(10)
"""Percent of one processor, for all that looks take: here, in squeue, and in the controller."""


def looks(place: Place) -> Iterator[Result]:
    """Looks a minute and what they take, while nothing changes."""
    on = cluster(place)
    caller, made = on.caller(HELD), list[str]()
    before = _holds(on)
    try:
        for count in place.scale.slurm_held:
            while len(made) < count:
                made.append(create_and_start(caller))
            eventually(lambda n=count: _held(on) >= n, "all jobs are in the queue", within=PATIENCE)
            time.sleep(SETTLED)
            yield from _looked(on, count, place.scale.slurm_watched)
        kilobytes, files = (after - first for after, first in zip(_holds(on), before, strict=True))
        yield Result("slurm-queued-memory", "kB each", [kilobytes / len(made)])
        yield Result("slurm-queued-files", "open, each", [files / len(made)])
    finally:
        on.slurm("scancel", "--state=PENDING", "--partition=main")  # all at once
        for execution in made:
            caller.call("DELETE", f"{execution}?include_log=false")


def _held(on: Cluster) -> int:
    return len(on.slurm("squeue", "--noheader", "--states=PENDING", "--format=%i").split())


def _looked(on: Cluster, count: int, seconds: float) -> Iterator[Result]:
    begun = time.monotonic()
    before = _taken(on)
    time.sleep(seconds)
    asked, controller, server, squeue = (
        after - former for after, former in zip(_taken(on), before, strict=True)
    )
    minutes = (time.monotonic() - begun) / 60
    asked = max(asked - 1, 0)  # _held was one, or none
    each = max(asked, 1)
    facts = {
        "server, ms a look": 1e3 * server / each,
        "squeue, ms a look": 1e3 * squeue / each,
        "slurmctld, ms a look": 1e3 * controller / each,
    }
    share = 100 * (server + squeue + controller) / (60 * minutes)
    yield Result(f"slurm-looks-{count}", "a minute", [asked / minutes], target=LOOKS, facts=facts)
    yield Result(f"slurm-looks-{count}-cpu", "% of one", [share], target=SHARE, facts=facts)


def _taken(on: Cluster) -> tuple[float, ...]:
    """Looks, and processor seconds of the controller, the server, and its squeue."""
    return on.looks(), on.controller(), *cpu_times(on.service.pid)


def _holds(on: Cluster) -> tuple[float, float]:
    """Kilobytes, and open files, of the server."""
    pid = on.service.pid
    return 1024 * memory([pid])["VmRSS"], len(list(Path(f"/proc/{pid}/fd").iterdir()))
