"""Jobs through the API, until the end of each is known, beside sbatch and squeue.

The program is the same everywhere: it writes what time it is.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.bench.calls import WAIT
from tests.bench.measure import Result, at_most
from tests.bench.place import Place
from tests.bench.processes import RowFailed, busy_seconds
from tests.bench.slurm.cluster import CLOCK, NAP, NAPPER, Cluster, cluster, create_and_start
from tests.bench.slurm.plain import Plain, Times, waited_for

TARGET = at_most(1.2)
PATIENCE = 900.0
READY = 0.2
"""Seconds in which a side that begins at a given time can be made ready."""
SIDES = {"": "sbatch, same sandbox", "-bare": "sbatch alone"}
"""What is compared with, by what is appended to the name of the row."""


class Api:
    """Ours: through the API, by one connection."""

    def __init__(self, cluster: Cluster, function: str) -> None:
        self._caller = cluster.caller(function)

    def jobs(self, count: int, at: float = 0.0) -> Times:
        """Create and start them one after the other, from a time on, and wait for all.

        Raises RowFailed.
        """
        time.sleep(max(0.0, at - time.time()))
        begun = time.time()
        made = [create_and_start(self._caller) for _ in range(count)]
        submitted = time.time()
        for execution in made:
            self._ended(execution)
        first = self._began(made[0])
        ended = time.time()
        began = [first, *(self._began(each) for each in made[1:])]
        for execution in made:
            self._caller.call("DELETE", f"{execution}?include_log=false")
        return Times(submitted - begun, ended - begun, tuple(each - begun for each in began))

    def _began(self, execution: str) -> float:
        return float(self._caller.call("GET", f"{execution}/output/r"))

    def _ended(self, execution: str) -> None:
        path, end = f"{execution}?{WAIT}", time.monotonic() + PATIENCE
        while (seen := json.loads(self._caller.call("GET", path)))["status"] != "ended":
            if time.monotonic() > end:
                raise RowFailed(f"a job did not end within {PATIENCE:g} s")
        if (seen["end_reason"], seen["exit_code"]) != ("normal", 0):
            raise RowFailed(f"a job ended as {seen['end_reason']}: {seen['log'][-300:]}")


Side = Api | Plain


def _sides(place: Place, function: str) -> list[Side]:
    """Ours, and those of SIDES."""
    on = cluster(place)
    return [Api(on, function), Plain(on, function, boxed=True), Plain(on, function, boxed=False)]


def one(place: Place) -> Iterator[Result]:
    """One job at a time: until its program runs, and until its result is there.

    The controller starts jobs at its own ticks, one a second, so the sides of a pair begin at the
    same part of a second, and the pairs at all parts of it.
    """
    sides = _sides(place, CLOCK)
    for side in sides:  # once without counting
        side.jobs(1)
    times: list[list[Times]] = [[] for _ in sides]
    for number in range(place.scale.slurm_alone):
        for taken, side in zip(times, sides, strict=True):
            at = math.ceil(time.time() + READY) + number / place.scale.slurm_alone
            taken.append(side.jobs(1, at))
    waited = [waited_for(cluster(place)) for _ in range(place.scale.runs)]
    started = [[jobs.began[0] for jobs in side] for side in times]
    yield from _compared("slurm-start", started, {})
    yield from _compared("slurm-job", _ended(times), {"sbatch --wait": waited})


def many(place: Place) -> Iterator[Result]:
    """Some hundred jobs that do nothing: there is only what each costs."""
    yield from _many(place, CLOCK, place.scale.slurm_jobs[0], place.scale.runs)


def naps(place: Place) -> Iterator[Result]:
    """As many that take a second."""
    yield from _many(place, NAPPER, place.scale.slurm_jobs[0], 1, f"-{NAP}s")


def thousand(place: Place) -> Iterator[Result]:
    """A thousand that do nothing, once."""
    yield from _many(place, CLOCK, place.scale.slurm_jobs[1], 1)


def _many(place: Place, function: str, count: int, runs: int, kind: str = "") -> Iterator[Result]:
    sides = _sides(place, function)
    times = _in_turns(sides, runs, count)
    facts = {
        "submitted, s": [[jobs.submitted for jobs in side] for side in times],
        "processor, ms a job": [[1e3 * jobs.busy / count for jobs in side] for side in times],
    }
    yield from _compared(f"slurm-{count}{kind}", _ended(times), facts)


def _in_turns(sides: Sequence[Side], runs: int, count: int) -> list[list[Times]]:
    times: list[list[Times]] = [[] for _ in sides]
    for _ in range(runs):
        for taken, side in zip(times, sides, strict=True):
            before = busy_seconds()
            jobs = side.jobs(count)
            taken.append(replace(jobs, busy=busy_seconds() - before))
    return times


def _ended(times: Sequence[Sequence[Times]]) -> list[list[float]]:
    return [[jobs.ended for jobs in side] for side in times]


def _compared(row: str, figures: list[list[float]], facts: dict[str, object]) -> Iterator[Result]:
    for (suffix, name), rival in zip(SIDES.items(), figures[1:], strict=True):
        yield Result(row + suffix, "s", figures[0], rival, name, TARGET, facts=facts)
