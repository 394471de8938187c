"""A run that waits in the queue of a cluster is told where it is."""

from __future__ import annotations

import httpx

from tests.contract.conftest import Site, eventually
from tests.contract.test_http import create
from tests.contract.test_server_regressions import begin_run
from tests.slurmcluster import CPUS, SlurmCluster


async def test_a_run_that_waits_is_told_where(
    site: Site, http: httpx.AsyncClient, slurm: SlurmCluster
) -> None:
    site.function("large", "echo up; sleep 600", engines={"slurm": {"cpus": CPUS}})
    running = [await create(http, "/joe/large") for _ in slurm.nodes]
    for execution in running:
        await begin_run(http, execution)
    waiting = [await create(http, "/joe/large") for _ in range(3)]
    for execution in waiting:
        answer = (await http.post(f"{execution}/start")).json()
        assert answer["status"] == "running"

    def order() -> list[str]:
        """The executions that wait, as the cluster has them in its queue."""
        jobs = slurm.run("squeue", "-h", "--states=PD", "--sort=i", "--format=%j").split()
        ids = [job.rpartition("-")[2] for job in jobs]
        return [f"/joe/large/executions/{id_}" for id_ in ids]

    async def told() -> bool:
        documents = [(await http.get(execution)).json() for execution in order()]
        assert {document["status"] for document in documents} <= {"running"}
        positions = [document.get("queue_position") for document in documents]
        return positions == list(range(len(waiting)))

    await eventually(told)
    assert "queue_position" not in (await http.get(running[0])).json()
    last = order()[-1]

    async def logged() -> bool:
        return bool((await http.get(last)).json()["log"])

    await eventually(logged)
    log = (await http.get(last)).json()["log"]
    assert log.startswith("pifopfs: it waits in the queue of the cluster, 2 of this server before")
    await http.delete(running[0])
    waiting.pop()
    await eventually(told)
