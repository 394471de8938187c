"""Following a log."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.measure import Result, at_most
from tests.bench.place import Place
from tests.bench.processes import run, started
from tests.bench.relay import Passed, open_relay

PAUSE = 0.1
"""Seconds between two pieces of the log."""


def tail(place: Place) -> Iterator[Result]:
    """tail -f for a minute of a log that grows all the time; the server says how much is new."""
    scale, seen = place.scale, place.folder / "seen"
    times = int(scale.minute / PAUSE)
    with (
        open_relay(place.service.socket) as relay,
        place.plain(f"http://127.0.0.1:{relay.port}", "talker") as mount,
    ):
        execution = mount.make()
        run(["sh", "-c", 'echo "$1" > "$0"', execution / "input" / "a", _request(scale.log, times)])
        run(["sh", "-c", 'echo 1 > "$0"', execution / "start"])
        begun, before = time.monotonic(), relay.passed()
        with started(["sh", "-c", 'exec tail -n +1 -f "$0" > "$1"', execution / "log", seen]):
            time.sleep(scale.minute)
        passed = relay.passed()
        length = seen.stat().st_size
        run(["rmdir", execution])
    wire = passed.up + passed.down - before.up - before.down
    yield Result(
        "tail",
        "of the log",
        [wire / length],
        target=at_most(3),
        facts={
            "bytes seen": length,
            "bytes on the wire": wire,
            "requests by quarter": _by_quarter(passed, begun, scale.minute),
        },
    )


def _request(size: int, times: int) -> str:
    """What the function is told: how often, with which pause, how many bytes."""
    return f"{times} {PAUSE} {size // times}"


def _by_quarter(passed: Passed, begun: float, length: float) -> list[int]:
    """How many requests there were in each quarter of the time."""
    counts = [0, 0, 0, 0]
    for when, _, _ in passed.requests:
        quarter = int(4 * (when - begun) / length)
        if 0 <= quarter < 4:
            counts[quarter] += 1
    return counts
