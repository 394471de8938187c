"""The time limit on a cluster counts from when the program begins, to the second; and whatever ends
a run leaves none of its processes.

What is the same on every engine is in tests/contract.
"""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
import trio

from pifopfs.machine import BUBBLEWRAP, NONE
from tests.contract.conftest import Site, eventually
from tests.contract.test_http import create, start
from tests.contract.test_limits import HOARDERS, ended
from tests.contract.test_server_regressions import begin_run
from tests.unit.server.test_engine import alive, marker

SECONDS = 3
TICKS = "while :; do date +%s.%N; sleep 0.1; done"
LATE = 4
"""Seconds by which the end may be late on a machine that does much else; Slurm counts minutes."""


async def test_a_time_limit_is_kept_to_the_second(site: Site, http: httpx.AsyncClient) -> None:
    seen = await ended(site, http, TICKS, limits={"max_time": SECONDS / 60})
    assert (seen["end_reason"], seen["stopped"]) == ("timeout", False)
    *ticks, note = seen["log"].splitlines()
    assert note == "pifopfs: ended: the time limit of 0.05 minutes is over"
    assert SECONDS - 1 < float(ticks[-1]) - float(ticks[0]) < SECONDS + LATE


async def test_time_in_the_queue_does_not_count(site: Site, http: httpx.AsyncClient) -> None:
    later = {"slurm": {"extra": f"--begin=now+{SECONDS + 2}seconds"}}
    limits = {"max_time": SECONDS / 60}
    seen = await ended(site, http, "sleep 1; echo done", limits=limits, engines=later)
    assert (seen["end_reason"], seen["exit_code"]) == ("normal", 0)
    assert seen["log"].endswith("done\n")


@pytest.mark.parametrize("program", ["many files", "its own folder, closed"])
async def test_a_program_that_fills_the_disk_is_ended(
    site: Site, http: httpx.AsyncClient, program: str
) -> None:
    seen = await ended(site, http, HOARDERS[program], limits={"max_disk": 20})
    assert seen["end_reason"] == "system-error", seen
    assert "pifopfs: ended: it kept more than its limit of 20 MB on disk" in seen["log"]


@pytest.mark.parametrize(
    ("isolation", "end"),
    [
        (BUBBLEWRAP, "stop"),
        (BUBBLEWRAP, "time"),
        (NONE, "by itself"),
        (NONE, "stop"),
        (NONE, "terminate"),
        (NONE, "time"),
    ],
)
async def test_nothing_of_a_run_goes_on_after_its_end(
    site: Site, http: httpx.AsyncClient, isolation: str, end: str
) -> None:
    await site.down()
    site.isolation = isolation
    await site.up()
    mark = marker()
    stays = "" if end == "by itself" else "; trap '' TERM; while :; do sleep 0.1; done"
    limits = {"max_time": 0.03} if end == "time" else {}
    script = f"setsid sh -c 'trap \"\" TERM; sleep {mark}; :' & echo up{stays}"
    site.function("leaves", script, limits=limits)
    execution = await create(http, "/joe/leaves")
    if end in ("by itself", "time"):
        await start(http, execution)
    else:
        await begin_run(http, execution)
        assert alive(mark)
        await (http.post(f"{execution}/stop") if end == "stop" else http.delete(execution))
    assert alive(mark) == []


async def test_what_waits_in_the_queue_can_be_stopped(site: Site, http: httpx.AsyncClient) -> None:
    site.function("held", "echo never; echo 1 > r.txt", engines={"slurm": {"extra": "--hold"}})
    execution = await create(http, "/joe/held")
    await http.post(f"{execution}/start")

    async def waits() -> bool:
        return bool((await http.get(execution)).json().get("queue_position") == 0)

    await eventually(waits)
    seen = (await http.post(f"{execution}/stop")).json()
    assert (seen["status"], seen["end_reason"], seen["stopped"]) == ("ended", "normal", True)
    assert "never" not in seen["log"]
    assert "queue_position" not in seen
    assert seen["output"] == []


@pytest.mark.parametrize("isolation", [BUBBLEWRAP, NONE])
async def test_regression_a_stop_of_a_willing_program_does_not_take_its_grace(
    site: Site, http: httpx.AsyncClient, isolation: str
) -> None:
    """Its dead processes, which nobody could reap, were taken for living ones."""
    await site.down()
    site.isolation, site.settings = isolation, replace(site.settings, stop_grace=30.0)
    await site.up()
    site.function("willing", "echo up; sleep 600 & sleep 600")
    execution = await create(http, "/joe/willing")
    await http.post(f"{execution}/start")

    async def up() -> bool:
        return "up" in (await http.get(execution)).json()["log"]

    await eventually(up)
    with trio.fail_after(20):
        seen = (await http.post(f"{execution}/stop")).json()
    assert (seen["end_reason"], seen["exit_code"], seen["stopped"]) == ("normal", 143, True)
