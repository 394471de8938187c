"""What goes wrong on a cluster is told as what it is: never as a normal end, never run twice."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from pifopfs.server.engines.slurm.script import TAKEN
from tests.slurm.server import ClusterServer, cluster_server, until
from tests.slurm.test_slurm_restart import fake
from tests.slurmcluster import SlurmCluster

AWAY = "echo Unable to contact slurm controller >&2; exit 1"
LONG = "echo begun >> r.txt; echo up; sleep 600"


def running(server: ClusterServer, function: str = "long") -> tuple[str, str]:
    """An execution whose program runs, and its job."""
    execution = server.started(function)
    server.until_printed(execution, "up\n")
    (job,) = server.jobs(execution)
    return execution, job


def assert_failed(seen: dict[str, Any], why: str) -> None:
    assert (seen["end_reason"], seen["exit_code"]) == ("system-error", None)
    assert seen["stopped"] is False
    assert f"pifopfs: ended: {why}" in seen["log"]


def test_a_job_that_an_administrator_cancels(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm) as server:
        server.function("long", LONG)
        server.start()
        execution, job = running(server)
        slurm.run("scancel", job)
        assert_failed(server.ended(execution), "somebody else cancelled its job")


def test_a_waiting_job_that_an_administrator_cancels(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm, "--engine-option", "extra=--hold") as server:
        server.function("long", LONG)
        server.start()
        execution = server.started("long")
        job = until(lambda: server.jobs(execution))[0]
        slurm.run("scancel", job)
        assert_failed(server.ended(execution), "somebody else cancelled its job")
        assert server.look(execution)["output"] == []


def test_a_script_that_somebody_kills(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm) as server:
        server.function("long", LONG)
        server.start()
        execution, job = running(server)
        slurm.run("scancel", "--batch", "--signal=KILL", job)
        assert_failed(server.ended(execution), "its batch script was killed by signal 9")


def test_a_job_that_an_administrator_requeues_is_not_run_again(
    root: Path, slurm: SlurmCluster
) -> None:
    with cluster_server(root, slurm) as server:
        server.function("long", LONG)
        server.start()
        execution, job = running(server)
        slurm.run("scontrol", "update", f"JobId={job}", "Requeue=1")
        slurm.run("scontrol", "requeue", job)
        # Slurm lets two minutes pass before a requeued job may begin; an administrator does not.
        until(lambda: server.jobs(execution, "%T") == ["PENDING"])
        slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now")
        assert_failed(server.ended(execution), "its job was begun a second time")
        assert server.output(execution) == "begun\n"


def test_a_second_job_of_the_same_run_does_nothing(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm) as server:
        server.function("slow", "echo begun >> r.txt; echo up; sleep 3; exit 4")
        server.start()
        execution, _ = running(server, "slow")
        (folder,) = server.state.glob("executions/*/engine")
        options = (folder / "options").read_text().split("\0")[:-1]
        with pytest.raises(subprocess.CalledProcessError) as second:
            slurm.run("sbatch", "--wait", *options, str(folder / "script"))
        assert second.value.returncode == TAKEN
        seen = server.ended(execution)
        assert (seen["end_reason"], seen["exit_code"]) == ("normal", 4)
        assert server.output(execution) == "begun\n"


def test_a_lost_node(root: Path, own_slurm: SlurmCluster) -> None:
    with cluster_server(root, own_slurm) as server:
        server.function("long", LONG)
        server.start()
        execution, job = running(server)
        node = own_slurm.run("squeue", "-h", "-j", job, "-o", "%N").strip()
        own_slurm.kill_node(node)
        seen = server.ended(execution, 120)
        assert_failed(seen, f"its node failed ({node})")
        assert server.output(execution) == "begun\n"
        # What still ran there ends when the node comes back; it is not run again.
        own_slurm.start_node(node)
        assert len(server.jobs(execution)) == 1
        again, _ = running(server)
        assert server.call("POST", f"{again}/stop")["stopped"] is True


def test_a_controller_that_is_down_is_waited_for(root: Path, own_slurm: SlurmCluster) -> None:
    with cluster_server(root, own_slurm) as server:
        server.function("short", "echo begun >> r.txt; echo up; sleep 2; exit 3")
        server.function("quick", "echo begun >> r.txt; exit 5")
        server.start()
        before, _ = running(server, "short")
        own_slurm.stop_controller(signal.SIGKILL)
        meanwhile = server.started("quick")
        until(lambda: "Slurm does not answer" in server.log.read_text(), 60)
        time.sleep(1)  # its program has ended, and nobody can tell
        assert server.look(before)["status"] == "running"
        assert server.look(meanwhile)["status"] == "running"
        server.end(signal.SIGKILL)
        server.start()  # a server starts without it, too
        assert server.look(before)["status"] == "running"
        own_slurm.start_controller()
        for execution, code in ((before, 3), (meanwhile, 5)):
            seen = server.ended(execution, 90)
            assert (seen["end_reason"], seen["exit_code"]) == ("normal", code)
            assert server.output(execution) == "begun\n"
            assert len(server.jobs(execution)) == 1


@pytest.mark.parametrize(
    "said",
    [
        "Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "QOSMaxSubmitJobPerUserLimit",
    ],
)
def test_a_submission_that_fails_for_a_while_is_tried_again(
    root: Path, slurm: SlurmCluster, said: str
) -> None:
    with cluster_server(root, slurm) as server:
        server.function("quick", "echo begun >> r.txt; exit 5")
        fails = f'echo "sbatch: error: {said}" >&2; exit 1'
        well = f'[ -e {root}/well ] && exec /usr/bin/sbatch "$@"'
        commands = fake(root, "sbatch", f"{well}; {fails}")
        server.start(path=str(commands))
        execution = server.started("quick")
        until(lambda: (commands / "sbatch.called").exists())
        (commands / "sbatch.called").unlink()
        until(lambda: (commands / "sbatch.called").exists(), what="it is tried again")
        assert server.look(execution)["status"] == "running"
        (root / "well").touch()
        assert server.ended(execution)["exit_code"] == 5
        assert server.output(execution) == "begun\n"


def test_what_slurm_does_not_take_now_can_be_stopped_and_is_not_asked_for_all_the_time(
    root: Path, slurm: SlurmCluster
) -> None:
    with cluster_server(root, slurm) as server:
        server.function("quick", "echo begun >> r.txt; exit 5")
        fails = "echo sbatch: error: QOSMaxSubmitJobPerUserLimit >&2; exit 1"
        commands = fake(root, "sbatch", f"echo >> {root}/calls; {fails}")
        server.start(path=str(commands))
        executions = [server.started("quick") for _ in range(4)]
        until(lambda: (root / "calls").exists())
        began = time.monotonic()
        time.sleep(2)  # in which it asks a few times, and not 4 * 50 times a second
        assert server.call("POST", f"{executions[0]}/stop")["stopped"] is True
        server.call("DELETE", executions[1])
        calls = len((root / "calls").read_text().splitlines())
        assert calls <= 2 * (4 + time.monotonic() - began)
        assert {server.look(each)["status"] for each in executions[2:]} == {"running"}
        server.end(signal.SIGKILL)
        server.start()  # Slurm takes them now
        for execution in executions[2:]:
            assert server.ended(execution)["exit_code"] == 5
        assert server.jobs(executions[0]) == server.jobs(executions[1]) == []


def test_regression_a_run_that_cannot_be_followed_is_ended_and_no_other(
    root: Path, slurm: SlurmCluster
) -> None:
    with cluster_server(root, slurm, "--isolation", "none") as server:
        server.function("odd", "echo up; sleep 1; rm ../engine/printed; mkdir ../engine/printed; "
                        "echo a b c d > ../engine/end; sleep 600")  # fmt: skip
        server.function("quick", "exit 5")
        server.start()
        odd, job = running(server, "odd")
        assert server.ended(server.started("quick"))["exit_code"] == 5
        seen = server.ended(odd, 120)
        assert seen["end_reason"] == "system-error"
        assert "ended: it cannot be followed: [Errno 21] Is a directory" in seen["log"]
        assert str(root) not in seen["log"]
        assert slurm.run("squeue", "-h", "-j", job, "-t", "PD,R,CG") == ""
        assert server.ended(server.started("quick"))["exit_code"] == 5


def test_regression_of_two_jobs_of_one_run_a_stop_ends_the_one_that_runs(
    root: Path, slurm: SlurmCluster
) -> None:
    """A submission seems to fail, and its job comes late, when the run was submitted once more."""
    with cluster_server(root, slurm, "--engine-option", "extra=--exclusive=user") as server:
        server.function("long", LONG)
        wait = f"until [ -e {root}/second ]; do sleep 0.05; done"
        late = f'script=$(cat); ({wait}; echo "$script" | /usr/bin/sbatch "$@") >/dev/null 2>&1 &'
        hold = f'touch {root}/second; exec /usr/bin/sbatch --hold "$@"'
        commands = fake(root, "sbatch", f"mkdir {root}/first && {{ {late} {AWAY}; }}; {hold}")
        server.start(path=str(commands))
        execution = server.started("long")
        server.until_printed(execution, "up\n")
        until(lambda: sorted(server.jobs(execution, "%T")) == ["PENDING", "RUNNING"])
        seen = server.call("POST", f"{execution}/stop")
        assert (seen["status"], seen["end_reason"], seen["stopped"]) == ("ended", "normal", True)
        assert not {"PENDING", "RUNNING", "COMPLETING"} & set(server.jobs(execution, "%T"))
        assert server.output(execution) == "begun\n"


@pytest.mark.parametrize("odd", ["CLUSTER: a banner", "1|2|3|4|5|6|7|8"])
def test_regression_an_odd_line_of_squeue_does_not_end_the_server(
    root: Path, slurm: SlurmCluster, odd: str
) -> None:
    with cluster_server(root, slurm) as server:
        server.function("quick", "echo begun >> r.txt; exit 5")
        odd_line = f"[ -e {root}/well ] || echo '{odd}'"
        commands = fake(root, "squeue", f'{odd_line}; exec /usr/bin/squeue "$@"')
        server.start(path=str(commands))
        execution = server.started("quick")
        until(lambda: server.jobs(execution, "%T") == ["FAILED"])
        (root / "well").touch()
        assert server.ended(execution)["exit_code"] == 5


def test_a_job_that_slurm_does_not_take(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm) as server:
        server.function("odd", "echo begun", engines={"slurm": {"partition": "nonesuch"}})
        server.start()
        seen = server.ended(server.started("odd"))
        assert (seen["end_reason"], seen["exit_code"]) == ("system-error", None)
        assert "the program cannot be launched: sbatch: " in seen["log"]
        assert "nvalid partition" in seen["log"]


def test_a_node_that_does_not_see_the_files(root: Path, own_slurm: SlurmCluster) -> None:
    blind, other = own_slurm.nodes
    own_slurm.kill_node(blind)
    own_slurm.start_node(blind, unshare=f"mount -t tmpfs none {root}")
    # At the start, which names it.
    with cluster_server(root, own_slurm, probe=True) as server:
        server.function("quick", "echo begun >> r.txt; exit 5")
        with pytest.raises(AssertionError, match=f"{blind}: ") as told:
            server.start()
        assert "that all nodes share" in str(told.value)
        assert f"{other}: " not in str(told.value)
        assert "Traceback" not in str(told.value)
    # Of a run that comes to it all the same.
    with cluster_server(root, own_slurm, "--engine-option", f"extra=--nodelist={blind}") as server:
        server.start()
        seen = server.ended(server.started("quick"))
        assert_failed(seen, f"node {blind} sees stale or missing files of its run")
        assert seen["output"] == []


def test_a_node_that_sees_older_files(root: Path, own_slurm: SlurmCluster) -> None:
    stale, _ = own_slurm.nodes
    with cluster_server(root, own_slurm, "--engine-option", f"extra=--nodelist={stale}") as server:
        server.function("quick", "echo begun >> r.txt; exit 5")
        commands = fake(root, "sbatch", f'[ -e {root}/go ] && exec /usr/bin/sbatch "$@"; {AWAY}')
        server.start(path=str(commands))
        execution = server.started("quick")
        until(lambda: (commands / "sbatch.called").exists())
        # The node keeps the folder of the run as it was, with another word in it.
        (folder,) = server.state.glob("executions/*/engine")
        old = root / "old"
        own_slurm.kill_node(stale)
        make = f"cp -a {folder} {old} && echo older > {old}/fresh"
        own_slurm.start_node(stale, unshare=f"{make} && mount --bind {old} {folder}")
        (root / "go").touch()
        seen = server.ended(execution)
        assert_failed(seen, f"node {stale} sees stale or missing files of its run")
        assert seen["output"] == []


def test_the_nodes_are_tried_at_the_start(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm, probe=True) as server:
        server.function("quick", "echo begun >> r.txt; exit 5")
        server.start()
        assert not list(server.state.glob("probes"))
        tried = slurm.run("squeue", "-h", "-t", "all", "-o", "%T %N %j").splitlines()
        for node in slurm.nodes:
            assert [line for line in tried if line.startswith(f"COMPLETED {node} pifopfs-")]
        assert server.ended(server.started("quick"))["exit_code"] == 5


def test_only_nodes_that_runs_can_come_to_are_tried(root: Path, own_slurm: SlurmCluster) -> None:
    ours, other = own_slurm.nodes
    own_slurm.run("scontrol", "update", "PartitionName=main", f"Nodes={ours}")
    own_slurm.run("scontrol", "create", "PartitionName=other", f"Nodes={other}")
    with cluster_server(root, own_slurm, probe=True) as server:
        server.function("quick", "exit 5")
        server.start()
        tried = own_slurm.run("squeue", "-h", "-t", "all", "-o", "%N").split()
        assert tried == [ours]
    for option, said in {
        "partition=nonesuch": "Slurm knows no nodes of a partition nonesuch",
        "extra=--constraint=nonesuch": "Slurm takes no jobs of this server: sbatch: ",
    }.items():
        with cluster_server(root, own_slurm, "--engine-option", option, probe=True) as server:
            with pytest.raises(AssertionError) as told:
                server.start()
            assert said in str(told.value)
            assert "Traceback" not in str(told.value)


def test_a_node_that_is_busy_does_not_keep_a_server_from_starting(
    root: Path, own_slurm: SlurmCluster
) -> None:
    own_slurm.run("sbatch", "--exclusive", "--nodes=2", "--output=/dev/null", "--wrap=sleep 600")
    until(lambda: own_slurm.run("squeue", "-h", "-o", "%T") == "RUNNING\n")
    with cluster_server(root, own_slurm, probe=True) as server:
        server.function("quick", "exit 5")
        server.start()
        told = f"as they are busy or down: {', '.join(own_slurm.nodes)}"
        assert told in server.log.read_text()
        assert "probe" not in own_slurm.run("squeue", "-h", "-t", "PD,R", "-o", "%j")


def test_a_node_that_is_down_does_not_keep_a_server_from_starting(
    root: Path, own_slurm: SlurmCluster
) -> None:
    down, _ = own_slurm.nodes
    own_slurm.run("scontrol", "update", f"NodeName={down}", "State=DRAIN", "Reason=test")
    with cluster_server(root, own_slurm, probe=True) as server:
        server.function("quick", "exit 5")
        server.start()
        assert f"nodes that were not tried, as they are busy or down: {down}" in (
            server.log.read_text()
        )
        assert server.ended(server.started("quick"))["exit_code"] == 5
