"""The memory limit of a run on a cluster, which Slurm enforces with the kernel."""

from __future__ import annotations

import httpx
import pytest

from tests.contract.conftest import Site, eventually
from tests.contract.test_http import create
from tests.contract.test_limits import GREEDY, INNOCENT, MEMORY, ended
from tests.slurmcluster import SlurmCluster

SOME_GREEDY = ("python", "a child whose parent survives", "many small ones", "files in memory")
SOME_INNOCENT = ("kill -9", "MemoryError", "memory that is shared", "a large file on disk")


@pytest.fixture(autouse=True)
def enforced(slurm: SlurmCluster) -> None:
    """Skips where Slurm only looks now and then what programs use."""
    if not slurm.kernel_limits_memory:
        pytest.skip("there is no cgroup v1 here, so this cluster has no ConstrainRAMSpace")


@pytest.mark.parametrize("program", SOME_GREEDY)
async def test_a_program_that_needs_more_memory_is_ended(
    site: Site, http: httpx.AsyncClient, program: str
) -> None:
    seen = await ended(site, http, GREEDY[program], limits=MEMORY)
    assert seen["end_reason"] == "out-of-memory", seen
    assert "memory limit of 64 MB" in seen["log"]
    assert seen["stopped"] is False


@pytest.mark.parametrize("program", SOME_INNOCENT)
async def test_what_is_no_lack_of_memory_is_not_told_as_one(
    site: Site, http: httpx.AsyncClient, program: str
) -> None:
    script, code = INNOCENT[program]
    seen = await ended(site, http, script, limits=MEMORY)
    assert (seen["end_reason"], seen["exit_code"]) == ("normal", code), seen


async def test_a_program_that_ends_well_while_a_child_was_killed_is_told_as_out_of_memory(
    site: Site, http: httpx.AsyncClient
) -> None:
    seen = await ended(site, http, "tail /dev/zero; echo 42 > r.txt; exit 0", limits=MEMORY)
    assert seen["end_reason"] == "out-of-memory", seen


async def test_a_stop_that_comes_before_is_told_as_one(site: Site, http: httpx.AsyncClient) -> None:
    site.function("limited", "trap 'tail /dev/zero' TERM; echo up; sleep 600 & wait", limits=MEMORY)
    execution = await create(http, "/joe/limited")
    await http.post(f"{execution}/start")

    async def up() -> bool:
        return "up" in (await http.get(execution)).json()["log"]

    await eventually(up)
    seen = (await http.post(f"{execution}/stop")).json()
    assert (seen["end_reason"], seen["stopped"]) == ("normal", True)


async def test_a_limit_that_no_node_can_give_is_told(site: Site, http: httpx.AsyncClient) -> None:
    seen = await ended(site, http, "echo never", limits={"max_memory": 1_000_000})
    assert (seen["end_reason"], seen["exit_code"]) == ("system-error", None), seen
    assert "never" not in seen["log"]
    assert "Memory specification can not be satisfied" in seen["log"]
