"""Looking at many executions that the mount knows."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.compiling import compiled
from tests.bench.measure import Result, Target, at_least, at_most
from tests.bench.mounts import inside
from tests.bench.place import Place
from tests.bench.processes import Command, run, timed

MAKE_PATIENCE = 300.0
TIMES = 5
"""Of each look; as often as anything else where it may take many seconds."""
THOUSAND = 1000
"""Executions for which there are targets."""


def listing(place: Place) -> Iterator[Result]:
    """ls -l and find, warm, and stat, with more and more executions."""
    folder, known = place.known.executions, 0
    for count in place.scale.known:
        inside("mkdirs", folder, known, count, within=MAKE_PATIENCE)
        known = count
        limits = {"ls": at_most(50), "find": at_most(500)} if count == THOUSAND else {}
        yield from _look(place, "ls", ["ls", "-l", folder], count, limits.get("ls"))
        yield from _look(place, "find", ["find", folder], count, limits.get("find"))
        if count == min(THOUSAND, place.scale.known[-1]):
            stats = [compiled(place, "stats"), folder, "1"]
            rates = [float(run(stats)) for _ in range(place.scale.runs)]
            yield Result("stat", "calls/s", rates, target=at_least(300_000))


def _look(
    place: Place, tool: str, command: Command, count: int, target: Target | None
) -> Iterator[Result]:
    """A tool, after the first time; where there is a target, its requests, too."""
    timed(command)
    before = len(place.origin.requests())
    times = TIMES if count <= THOUSAND else place.scale.runs
    milliseconds = [1e3 * timed(command) for _ in range(times)]
    facts = {"plot": tool, "executions": count}
    yield Result(f"{tool}-{count}", "ms", milliseconds, target=target, facts=facts)
    if target is not None:
        requests = len(place.origin.requests(before))
        yield Result(f"{tool}-requests", "requests", [requests], target=at_most(0))
