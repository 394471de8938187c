"""Limits as a caller sees them: the end reason, a line in the log, nothing for the innocent."""

from __future__ import annotations

import shutil
import textwrap
from typing import Any

import httpx
import pytest
import trio

from pifopfs.errors import ServerNotStarted
from pifopfs.server.memory.choosing import KINDS, choose
from tests.contract.conftest import Site
from tests.contract.test_http import create, eventually, start

pytestmark = pytest.mark.each_engine

MEMORY = {"max_memory": 64}


async def ended(site: Site, http: httpx.AsyncClient, script: str, **more: Any) -> dict[str, Any]:
    """The execution of a shell script, when it has ended."""
    site.function("limited", script, **more)
    execution = await create(http, "/joe/limited")
    await start(http, execution)
    seen: dict[str, Any] = (await http.get(execution)).json()
    return seen


# ── Memory ────────────────────────────────────────────────────────────────────────────────────

guards = pytest.mark.local_only("these guards are local; see tests/slurm/test_slurm_memory")


@pytest.fixture(params=KINDS)
async def guarded(
    request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch
) -> Site:
    """A server with this kind of memory guard."""
    monkeypatch.setenv("PIFOPFS_MEMORY_GUARD", request.param)
    try:
        await choose("tests")
    except ServerNotStarted as error:
        pytest.skip(str(error))
    await site.down()
    await site.up()
    return site


def python(code: str) -> str:
    return f"exec python3 - <<'END'\n{textwrap.dedent(code)}\nEND\n"


C = """
#include <stdlib.h>
#include <string.h>
int main() { for (;;) { char *p = malloc(1 << 20); if (!p) return 3; memset(p, 1, 1 << 20); } }
"""
CPP = """
#include <vector>
int main() { std::vector<char *> all; for (;;) all.push_back(new char[1 << 20]()); }
"""

GREEDY = {
    "python": python("data = []\nwhile True: data.append(bytearray(1 << 20))"),
    "c": "./c-program",
    "c++": "./cpp-program",
    "a child whose parent survives": "tail /dev/zero; echo $?; sleep 600",
    "many small ones": "for i in 1 2 3 4 5 6 7 8; do head -c 20m /dev/zero | tail -c 20m"
    " | (sleep 600; cat) & done; wait",
    "shared memory": python("""
        import mmap, time
        m = mmap.mmap(-1, 200 << 20)
        for at in range(0, 200 << 20, 4096): m[at] = 1
        time.sleep(600)
    """),
    "files in memory": "for f in /tmp/a /dev/shm/b; do head -c 60m /dev/zero > $f; done; sleep 600",
}


@guards
@pytest.mark.parametrize("program", GREEDY)
async def test_a_program_that_needs_more_memory_is_ended(
    guarded: Site, http: httpx.AsyncClient, program: str
) -> None:
    folder = guarded.function("limited", GREEDY[program], limits=MEMORY)
    for name, compiler, source in (("c", "gcc", C), ("cpp", "g++", CPP)):
        if f"./{name}-program" == GREEDY[program]:
            if shutil.which(compiler) is None:
                pytest.skip(f"{compiler} is not installed")
            (folder / f"p.{name}").write_text(source)
            build = [compiler, "-o", folder / f"{name}-program", folder / f"p.{name}"]
            await trio.run_process(build)
    seen = await ended(guarded, http, GREEDY[program], limits=MEMORY)
    assert seen["end_reason"] == "out-of-memory", seen
    assert "memory limit of 64 MB" in seen["log"]
    assert seen["stopped"] is False


@guards
@pytest.mark.parametrize("megabytes", [0.01, 0.3])
async def test_a_limit_that_lets_no_program_start(
    guarded: Site, http: httpx.AsyncClient, megabytes: float
) -> None:
    seen = await ended(guarded, http, "sleep 600", limits={"max_memory": megabytes})
    assert seen["end_reason"] == "out-of-memory", seen
    assert f"memory limit of {megabytes:g} MB" in seen["log"]


INNOCENT = {
    "segmentation fault": ("kill -SEGV $$", 139),
    "kill -9": ("kill -9 $$", 137),
    "exit 137": ("exit 137", 137),
    "MemoryError": (python("raise MemoryError"), 1),
    "memory that is shared": (
        python("""
            import mmap, os, time
            m = mmap.mmap(-1, 40 << 20)
            for at in range(0, 40 << 20, 4096): m[at] = 1
            children = []
            for _ in range(5):
                child = os.fork()
                if not child:
                    sum(m[at] for at in range(0, 40 << 20, 4096))
                    time.sleep(0.5)
                    os._exit(0)
                children.append(child)
            for child in children: os.waitpid(child, 0)
        """),
        0,
    ),
    "a large file on disk": ("head -c 300m /dev/zero > big; cat big > /dev/null", 0),
}


@guards
@pytest.mark.parametrize("program", INNOCENT)
async def test_what_is_no_lack_of_memory_is_not_told_as_one(
    guarded: Site, http: httpx.AsyncClient, program: str
) -> None:
    script, code = INNOCENT[program]
    seen = await ended(guarded, http, script, limits=MEMORY)
    assert (seen["end_reason"], seen["exit_code"]) == ("normal", code), seen


@guards
async def test_a_stop_that_comes_before_is_told_as_one(
    guarded: Site, http: httpx.AsyncClient
) -> None:
    guarded.function(
        "limited", "trap 'tail /dev/zero' TERM; echo up; sleep 600 & wait", limits=MEMORY
    )
    execution = await create(http, "/joe/limited")
    await http.post(f"{execution}/start")

    async def up() -> bool:
        return "up" in (await http.get(execution)).json()["log"]

    await eventually(up)
    seen = (await http.post(f"{execution}/stop")).json()
    assert (seen["end_reason"], seen["stopped"]) == ("normal", True)


# ── Time ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_program_that_takes_too_long_is_ended_and_keeps_what_it_made(
    site: Site, http: httpx.AsyncClient
) -> None:
    script = "trap '' TERM; echo 42 > r.txt; echo up; while :; do sleep 600; done"
    seen = await ended(site, http, script, limits={"max_time": 0.01})
    assert (seen["end_reason"], seen["stopped"]) == ("timeout", False)
    assert seen["log"] == "up\npifopfs: ended: the time limit of 0.01 minutes is over\n"
    assert seen["output"] == [{"id": "r", "path": "r.txt", "size": 3}]


# ── Disk, log, processes, files ───────────────────────────────────────────────────────────────

HOARDERS = {
    "one file": "head -c 30m /dev/zero > big; sleep 600",
    "many files": "for i in $(seq 30); do head -c 1m /dev/zero > f$i; done; sleep 600",
    "empty files": "i=0; while [ $i -lt 6000 ]; do i=$((i+1)); : > f$i; done; sleep 600",
    "a closed folder": "mkdir d; head -c 15m /dev/zero > d/x; cp d/x d/y; chmod 0 d; sleep 600",
    "a folder that cannot be entered": "mkdir d; head -c 15m /dev/zero > d/x; cp d/x d/y;"
    " chmod 444 d; sleep 600",
    "its own folder, closed": "head -c 15m /dev/zero > x; cp x y; chmod 0 .; sleep 600",
    "very deep": python("""
        import os, time
        for _ in range(200):
            os.mkdir("x" * 100); os.chdir("x" * 100)
        time.sleep(600)
    """),
}  # fmt: skip


@pytest.mark.local_only("the server counts for all engines; see tests/slurm/test_slurm_limits")
@pytest.mark.parametrize("program", HOARDERS)
async def test_a_program_that_fills_the_disk_is_ended(
    site: Site, http: httpx.AsyncClient, program: str
) -> None:
    limits = {"max_disk": 20 if program != "one file" else 25}
    script = HOARDERS[program]
    if program == "one file":  # no single file grows past the limit
        script = "head -c 15m /dev/zero > a; head -c 15m /dev/zero > b; sleep 600"
    seen = await ended(site, http, script, limits=limits)
    assert seen["end_reason"] == "system-error", seen
    assert "pifopfs: ended: it " in seen["log"]


async def test_a_single_file_grows_no_further_than_the_disk_limit(
    site: Site, http: httpx.AsyncClient
) -> None:
    script = "head -c 30m /dev/zero > r.txt; echo $?; truncate -s 1T sparse || echo refused"
    seen = await ended(site, http, script, limits={"max_disk": 20})
    assert seen["end_reason"] == "normal"
    assert seen["log"].splitlines()[-1].endswith("refused")


async def test_a_log_is_kept_up_to_its_limit(site: Site, http: httpx.AsyncClient) -> None:
    script = "yes abcdefghi | head -c 3000000; exit 5"
    seen = await ended(site, http, script, limits={"max_log": 1})
    assert (seen["end_reason"], seen["exit_code"]) == ("normal", 5)
    assert len(seen["log"]) < (1 << 20) + 100
    assert seen["log"].endswith(f"pifopfs: [log truncated: {3000000 - (1 << 20)} bytes dropped]\n")


async def test_a_fork_bomb_hits_its_limit_and_nobody_else(
    site: Site, http: httpx.AsyncClient
) -> None:
    script = "for i in $(seq 100); do sleep 5 & done; wait"
    limits = {"max_processes": 20, "max_time": 0.05}
    seen = await ended(site, http, script, limits=limits)
    assert "fork" in seen["log"].lower()
    assert (await http.get("/joe/fn")).status_code == 200


async def test_regression_a_single_process_is_enough_for_a_program(
    site: Site, http: httpx.AsyncClient
) -> None:
    """The search for it needed another one."""
    seen = await ended(site, http, "", command=["echo", "hi"], limits={"max_processes": 1})
    assert (seen["end_reason"], seen["log"]) == ("normal", "hi\n"), seen


async def test_regression_a_limit_above_the_systems_own_fails_no_run(
    site: Site, http: httpx.AsyncClient
) -> None:
    seen = await ended(site, http, "exit 3", limits={"max_processes": 1_000_000_000})
    assert (seen["end_reason"], seen["exit_code"]) == ("normal", 3), seen


async def test_memory_files_are_limited(site: Site, http: httpx.AsyncClient) -> None:
    script = "head -c 400m /dev/zero > /tmp/x || echo full; wc -c < /tmp/x"
    seen = await ended(site, http, script)
    assert "No space left on device" in seen["log"]
    assert seen["log"].splitlines()[-1] == str(256 << 20)


async def test_an_input_that_is_too_long_for_the_function(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.function("limited", limits={"max_input": 0.001})
    execution = await create(http, "/joe/limited")
    answer = await http.post(f"{execution}/input/a", content=bytes(2000))
    assert answer.status_code == 413
    assert "errorMessage" in answer.json()
