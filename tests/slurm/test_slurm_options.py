"""What a server and a function ask of the cluster, as squeue shows it."""

from __future__ import annotations

import httpx
import pytest
import trio

from tests.contract.conftest import Site, eventually
from tests.contract.test_http import create, refused
from tests.contract.test_server_regressions import begin_run
from tests.engines import Engine
from tests.slurmcluster import SlurmCluster


async def shown(slurm: SlurmCluster, execution: str, fields: str) -> str:
    """Of the job of an execution."""
    id_ = execution.rpartition("/")[2]
    lines = (await trio.to_thread.run_sync(slurm.run, "squeue", "-ho", f"%j {fields}")).splitlines()
    (line,) = [line for line in lines if line.partition(" ")[0].endswith(f"-{id_}")]
    return line.partition(" ")[2]


async def begun(http: httpx.AsyncClient, function: str) -> str:
    execution = await create(http, f"/joe/{function}")
    await begin_run(http, execution)
    return execution


async def test_a_function_asks_for_what_it_needs(
    site: Site, http: httpx.AsyncClient, slurm: SlurmCluster
) -> None:
    engines = {"slurm": {"cpus": 3, "partition": "main", "extra": "--comment='two words' --nice=7"}}
    site.function("large", "nproc; sleep 600", engines=engines, limits={"max_memory": 100})
    execution = await begun(http, "large")
    assert await shown(slurm, execution, "%C %P %m %k") == "3 main 100M two words"


async def test_a_function_comes_before_its_server(
    site: Site, http: httpx.AsyncClient, slurm: SlurmCluster
) -> None:
    await site.down()
    given = {"probe": "no", "cpus": "2", "account": "science", "extra": "--comment=servers"}
    site.engine = Engine("slurm", given)
    await site.up()
    site.function("plain", "echo up; sleep 600")
    site.function("own", "echo up; sleep 600", engines={"slurm": {"cpus": 1, "extra": "--nice=5"}})
    both = [await begun(http, "plain"), await begun(http, "own")]
    assert [await shown(slurm, each, "%C %a %k") for each in both] == [
        "2 science servers",
        "1 science servers",
    ]


async def test_what_another_engine_is_told_does_not_matter(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.function("other", "echo up", engines={"pbs": {"select": 1}})
    await begun(http, "other")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"memory": "1G"}, "memory"),
        ({"rate": 5}, "rate"),
        ({"cpus": 0}, "cpus"),
        ({"extra": "--mem=1T"}, "--mem"),
        ({"extra": "--output=/etc/passwd"}, "--output"),
    ],
)
async def test_what_no_function_may_ask_for_is_told_before_it_runs(
    site: Site, http: httpx.AsyncClient, options: dict[str, object], said: str
) -> None:
    site.function("greedy", "echo up", engines={"slurm": options})
    message = refused(await http.post("/joe/greedy/executions"), 503)
    assert "engines" in message
    assert said in message


async def test_what_the_cluster_refuses_is_told_in_the_log(
    site: Site, http: httpx.AsyncClient
) -> None:
    site.function("lost", "echo never", engines={"slurm": {"partition": "nowhere"}})
    execution = await create(http, "/joe/lost")
    await http.post(f"{execution}/start")

    async def over() -> bool:
        return bool((await http.get(execution)).json()["status"] == "ended")

    await eventually(over)
    seen = (await http.get(execution)).json()
    assert (seen["end_reason"], seen["exit_code"]) == ("system-error", None)
    assert "invalid partition" in seen["log"]
