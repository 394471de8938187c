"""A whole job for a function that does nothing, beside the same calls by one curl handle."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.calls import Caller
from tests.bench.measure import Result, Target, alternate, at_most
from tests.bench.mounts import Mount
from tests.bench.place import Place
from tests.bench.processes import RowFailed, timed
from tests.bench.relay import open_relay

DELAY = 0.025
"""Seconds each way."""
SCRIPT = """
cd "$1" || exit
for number in $(seq "$3"); do
    mkdir j && cp "$2" j/input/a && echo 1 > j/start || exit
    cat j/wait && cat j/output/r && rmdir j || exit
done
"""


def job(place: Place) -> Iterator[Result]:
    """On loopback."""
    yield from _jobs(place, "job", place.service.port, at_most(1.5))


def job_50ms(place: Place) -> Iterator[Result]:
    """With 50 ms more for each round trip."""
    with open_relay(place.service.port, DELAY) as relay:
        yield from _jobs(place, "job-50ms", relay.port, at_most(1.1))


def _jobs(place: Place, row: str, port: int, target: Target) -> Iterator[Result]:
    service, count = place.service, place.scale.jobs
    caller = Caller(f"https://localhost:{port}", "nothing", service.ca_file, service.key("nothing"))
    with place.of_service("nothing", port) as mount:
        _by_mount(place, mount, 1)
        _by_calls(caller, 1)
        ours, curl = alternate(
            place.scale.runs,
            lambda: 1e3 * _by_mount(place, mount, count),
            lambda: 1e3 * _by_calls(caller, count),
        )
    caller.close()
    yield Result(row, "ms", ours, curl, "curl, one handle", target)


def _by_mount(place: Place, mount: Mount, count: int) -> float:
    """Seconds for one of `count` jobs in a row."""
    content = place.folder / "small"
    content.write_text("a small input\n")
    command = ["sh", "-c", SCRIPT, "sh", mount.executions, content, str(count)]
    return timed(command) / count


def _by_calls(caller: Caller, count: int) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        if caller.job(b"a small input\n") != b"a small input\n":
            raise RowFailed("the rival's job has another result")
    return (time.perf_counter() - begun) / count
