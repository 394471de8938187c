"""What a mount takes: memory, time to start, and the processor while nobody looks."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.bodies import cold_copy, upload
from tests.bench.measure import Result, at_most
from tests.bench.mounts import Mount, inside, mounted
from tests.bench.place import Place
from tests.bench.processes import cpu_seconds, memory, run, timed
from tests.bench.sampling import Peak
from tests.functions import write_function

LIMIT = at_most(120)
"""Megabytes."""


def memory_streaming(place: Place) -> Iterator[Result]:
    """Outputs and inputs pass, in turns; the largest sum over the daemon and its helpers."""
    file = place.output(place.scale.size)
    with mounted(place.of_origin()) as mount, Peak(mount.processes) as peak:
        for number in range(place.scale.streams):
            if number % 2:
                upload(place, mount, file)
            else:
                cold_copy(place, mount, file)
    yield Result(
        "memory-streaming", "MB", [peak.largest["VmHWM"]], target=LIMIT, facts=peak.largest
    )


def memory_known(place: Place) -> Iterator[Result]:
    """With many executions, which were all looked at."""
    mount, count = place.known, place.scale.known[-1]
    have = int(run(["sh", "-c", 'ls "$0" | wc -l', mount.executions]))
    inside("mkdirs", mount.executions, have, count, within=300)
    run(["find", mount.executions])
    seen = memory(mount.processes())
    yield Result("memory-known", "MB", [seen["VmHWM"]], target=LIMIT, facts=seen)


def start_up(place: Place) -> Iterator[Result]:
    """From the exec of `pifopfs mount` until a stat has answered."""
    folder = write_function(place.folder / "started", "cp a.txt r.txt")
    for row, mount in {
        "startup-endpoint": place.of_origin(),
        "startup-folder": place.mount(str(folder)),
    }.items():
        seconds = [_started(mount) for _ in range(place.scale.runs)]
        yield Result(row, "s", seconds, target=at_most(0.5))


def _started(mount: Mount) -> float:
    script = '"$@" && stat "$0/executions" > /dev/null'
    seconds = timed(["sh", "-c", script, mount.path, *mount.command], env=mount.env)
    mount.umount()
    return seconds


def idle(place: Place) -> Iterator[Result]:
    """Nobody looks at a mount that knows some executions."""
    with mounted(place.of_origin()) as mount:
        inside("mkdirs", mount.executions, 0, 10)
        run(["find", mount.executions])
        time.sleep(min(5.0, place.scale.idle))  # what looking has begun is over
        before, requests = cpu_seconds(mount.processes()), len(place.origin.requests())
        time.sleep(place.scale.idle)
        taken = cpu_seconds(mount.processes()) - before
        asked = len(place.origin.requests(requests))
    yield Result("idle-cpu", "ms", [1e3 * taken], target=at_most(0))
    yield Result("idle-requests", "requests", [asked], target=at_most(0))
