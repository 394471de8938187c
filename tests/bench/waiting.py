"""How soon the end of a job is noticed, and how often the service is asked for that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tests.bench.measure import Result, at_most
from tests.bench.place import Place
from tests.bench.processes import module, run_together, started

SHORT = 5
"""Seconds; jobs shorter than that are run several times."""


def notice(place: Place) -> Iterator[Result]:
    """Jobs of several lengths at the same time, each waited for by a read of `wait`."""
    lengths = place.scale.lengths
    with place.of_service("sleeper") as mount:
        times = [place.scale.short_jobs if length < SHORT else 1 for length in lengths]
        commands = [
            module("inside", "notice", mount.executions, f"{length:g}", count)
            for length, count in zip(lengths, times, strict=True)
        ]
        printed = run_together(commands, within=60 + 2 * max(lengths))
    for length, answer in zip(lengths, printed, strict=True):
        late = [1e3 * seconds for seconds in json.loads(answer)]
        limit = 1e3 * min(max(length / 10, 0.05), 2.0)
        yield Result(f"notice-{length:g}s", "ms", late, target=at_most(limit), worst=True)


def wait_requests(place: Place) -> Iterator[Result]:
    """Requests in the first minute of a wait; the service knows nothing but the documented API."""
    origin, wait = place.origin, place.https.executions / "exec_RUNNING" / "wait"
    before = len(origin.requests())
    with started(["cat", wait]):
        time.sleep(place.scale.minute)
        asked = [each for each in origin.requests(before) if "exec_RUNNING" in each.path]
    yield Result("wait-requests", "requests", [len(asked)], target=at_most(70))
