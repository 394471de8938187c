"""Many executions at once: within a rate, and within the length of the queue."""

from __future__ import annotations

import re
from pathlib import Path

from tests.slurm.server import cluster_server, until
from tests.slurm.test_slurm_restart import fake
from tests.slurmcluster import SlurmCluster

NUMBER = 40
MOST = 8


def test_a_storm_keeps_within_the_length_of_the_queue(root: Path, slurm: SlurmCluster) -> None:
    """Of 1000 executions: scripts/bench. Here fewer, with limits as much lower."""
    with cluster_server(root, slurm, "--engine-option", f"most={MOST}") as server:
        server.function("one", "echo begun >> r.txt; exit 5")
        # Notes how many of the server's jobs are there when it is called.
        commands = fake(
            root,
            "sbatch",
            f"squeue -h -t PD,R,CG -o %j | grep -c ^pifopfs- >> {root}/calls; "
            'exec /usr/bin/sbatch "$@"',
        )
        server.start(path=str(commands))
        executions = [server.started("one") for _ in range(NUMBER)]
        for execution in executions:
            assert server.ended(execution, 120)["exit_code"] == 5
            assert server.output(execution) == "begun\n"
        there = [int(line) for line in (root / "calls").read_text().splitlines()]
        assert len(there) == NUMBER
        assert MOST / 2 < max(there) <= MOST


def test_a_storm_keeps_within_the_rate(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm, "--engine-option", "rate=4") as server:
        server.function("one", "exit 5", engines={"slurm": {"extra": "--hold"}})
        commands = fake(root, "sbatch", f'date +%s.%N >> {root}/calls; exec /usr/bin/sbatch "$@"')
        server.start(path=str(commands))
        for _ in range(12):
            server.started("one")
        until(lambda: (root / "calls").exists() and len((root / "calls").read_text().split()) == 12)
        moments = sorted(map(float, (root / "calls").read_text().split()))
        assert moments[-1] - moments[0] > 2, "12 in less than 2 s are far more than 4 a second"


def test_who_waits_in_the_server_is_told_where(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm, "--engine-option", "most=1") as server:
        server.function("long", "echo up; sleep 600")
        server.start()
        first = server.started("long")
        server.until_printed(first, "up\n")
        rest = [server.started("long") for _ in range(3)]
        until(lambda: [server.look(each).get("queue_position") for each in rest] == [0, 1, 2])
        assert "queue_position" not in server.look(first)
        assert {server.look(each)["status"] for each in rest} == {"running"}
        server.until_printed(rest[2], "it waits in the queue of the cluster, 2 of this server")
        # One that is stopped before it was submitted is nobody's job.
        assert server.call("POST", f"{rest[0]}/stop")["stopped"] is True
        assert server.jobs(rest[0]) == []
        until(lambda: [server.look(each).get("queue_position") for each in rest[1:]] == [0, 1])
        # At the end of the first the next one begins.
        server.call("POST", f"{first}/stop")
        server.until_printed(rest[1], "up\n")
        assert re.fullmatch(
            r"(pifopfs: it waits in the queue .*\n)*up\n", server.look(rest[1])["log"]
        )
