"""Reads here and there in a large output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pycurl

from tests.bench.measure import Result, alternate, at_most
from tests.bench.mounts import Mount, inside
from tests.bench.place import BODIES, Place
from tests.bench.processes import run, timed
from tests.bench.relay import open_relay

DELAY = 0.025
"""Seconds each way."""
BLOCK = 64 << 10


def first(place: Place) -> Iterator[Result]:
    """The first bytes, 50 ms of round trip away, on a connection that is there: one round trip.

    A second one would make it twice the time of the rival.
    """
    name = place.output(place.scale.size).name
    with (
        open_relay(urlsplit(place.origin.http).port or 0, DELAY) as relay,
        place.plain(f"http://127.0.0.1:{relay.port}") as mount,
    ):
        url = f"http://127.0.0.1:{relay.port}/joe/bench/executions/{BODIES}/output/{name}"
        ours, curl = alternate(
            place.scale.runs,
            lambda: 1e3 * _reads(mount, name, 1)["first"],
            lambda: 1e3 * _range(url),
        )
    yield Result("random-first", "ms", ours, curl, "curl, a range", at_most(1.5))


def with_ranges(place: Place) -> Iterator[Result]:
    """Many reads, beside a whole download: none is needed."""
    yield from _many(place, "random-ranges", "bench")


def without_ranges(place: Place) -> Iterator[Result]:
    """The same where the service gives whole outputs only."""
    yield from _many(place, "random-whole", "whole")


def _many(place: Place, row: str, function: str) -> Iterator[Result]:
    name, sent = place.output(place.scale.size).name, []
    with place.plain(place.origin.http, function) as mount:

        def ours() -> float:
            before = len(place.origin.requests())
            seconds = _reads(mount, name, place.scale.random_reads)["all"]
            time.sleep(0.2)  # nginx tells of a request when it is over
            sent.append(sum(each.sent for each in place.origin.requests(before)))
            return seconds

        figures = alternate(place.scale.runs, ours, lambda: _sequential(mount, name))
    yield Result(
        row,
        "s",
        figures[0],
        figures[1],
        "all, in order",
        at_most(1.0),
        facts={"bytes sent by the service": sent, "reads": place.scale.random_reads},
    )


def _reads(mount: Mount, name: str, count: int) -> dict[str, float]:
    """Seconds until the first and the last of the reads are done, nothing being cached."""
    output = mount.executions / BODIES / "output" / name
    run(["rm", "-f", output])
    run(["ls", "-l", output])
    seconds: dict[str, float] = inside("random", output, count, BLOCK)
    return seconds


def _sequential(mount: Mount, name: str) -> float:
    output = mount.executions / BODIES / "output" / name
    run(["rm", "-f", output])
    return timed(["dd", f"if={output}", "of=/dev/null", "bs=1M", "status=none"])


def _range(url: str) -> float:
    """Seconds for some bytes out of the middle, on a connection that is there."""
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.TIMEOUT, 30)
    curl.setopt(pycurl.RANGE, "0-0")
    curl.perform_rb()
    curl.setopt(pycurl.RANGE, f"{BLOCK}-{2 * BLOCK - 1}")
    begun = time.perf_counter()
    curl.perform_rb()
    seconds = time.perf_counter() - begun
    curl.close()
    return seconds
