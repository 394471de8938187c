"""A server that ends, however it ends, leaves its jobs running; the next one tells their truth."""

from __future__ import annotations

import random
import signal
import stat
import time
from pathlib import Path

import pytest

from tests.mount.test_serve import failing, serving
from tests.slurm.server import cluster_server, until
from tests.slurmcluster import SlurmCluster

ENDINGS = [signal.SIGTERM, signal.SIGKILL]
COUNT = """
echo begun >> r.txt; trap 'echo asked' TERM
for n in 1 2 3; do echo line $n; while [ ! -e {go}/$n ]; do sleep 0.02; done; done
echo end; echo ended >> r.txt; exit 3
"""


@pytest.fixture
def go(root: Path) -> Path:
    """Where programs outside a sandbox are told to go on."""
    (root / "go").mkdir()
    return root / "go"


@pytest.mark.parametrize("number", ENDINGS)
def test_what_runs_goes_on_and_is_found_again(
    root: Path, slurm: SlurmCluster, go: Path, number: signal.Signals
) -> None:
    with cluster_server(root, slurm, "--isolation", "none") as server:
        server.function("count", COUNT.format(go=go))
        server.start()
        execution = server.started("count")
        server.until_printed(execution, "line 1\n")
        server.end(number)
        (go / "1").touch()
        server.start()
        server.until_printed(execution, "line 1\nline 2\n")
        assert server.look(execution)["status"] == "running"
        server.end(number)
        for line in ("2", "3"):
            (go / line).touch()
        until(lambda: server.jobs(execution, "%T") == ["FAILED"], what="the job has ended")
        server.start()
        seen = server.ended(execution)
        assert (seen["end_reason"], seen["exit_code"]) == ("normal", 3)
        assert seen["log"] == "line 1\nline 2\nline 3\nend\n"
        assert server.output(execution) == "begun\nended\n"
        assert len(server.jobs(execution)) == 1


def test_a_job_that_slurm_has_forgotten_has_left_its_end(
    root: Path, slurm: SlurmCluster, go: Path
) -> None:
    with cluster_server(root, slurm, "--isolation", "none") as server:
        server.function("count", COUNT.format(go=go))
        server.start()
        execution = server.started("count")
        server.until_printed(execution, "line 1\n")
        server.end(signal.SIGKILL)
        for line in ("1", "2", "3"):
            (go / line).touch()
        until(lambda: server.jobs(execution, "%T") == ["FAILED"])
        # A queue in which nothing is known any more, and no accounting.
        commands = fake(root, "squeue", "exit 0") and fake(root, "sacct", "exit 1")
        server.start(path=str(commands))
        seen = server.ended(execution)
        assert (seen["end_reason"], seen["exit_code"]) == ("normal", 3)
        assert seen["log"] == "line 1\nline 2\nline 3\nend\n"


def test_a_job_that_slurm_has_forgotten_and_that_left_nothing_is_told_as_lost(
    root: Path, slurm: SlurmCluster, go: Path
) -> None:
    with cluster_server(root, slurm, "--isolation", "none") as server:
        server.function("count", COUNT.format(go=go))
        server.start()
        execution = server.started("count")
        server.until_printed(execution, "line 1\n")
        server.end(signal.SIGKILL)
        commands = fake(root, "squeue", "exit 0") and fake(root, "sacct", "exit 1")
        server.start(path=str(commands))
        seen = server.ended(execution)
        assert (seen["end_reason"], seen["exit_code"]) == ("system-error", None)
        assert "pifopfs: ended: Slurm has forgotten its job" in seen["log"]
        assert len(server.jobs(execution)) == 1  # it was not submitted again


def test_a_job_that_slurm_has_forgotten_has_a_history(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm) as server:
        server.function("long", "echo up; sleep 600")
        server.start()
        execution = server.started("long")
        server.until_printed(execution, "up\n")
        server.end(signal.SIGKILL)
        slurm.run("scancel", *server.jobs(execution))
        slurm.run("sbatch", "--wait", "--output=/dev/null", "--job-name=other", "--wrap=true")
        server.start(path=str(fake(root, "squeue", "exit 0")))
        seen = server.ended(execution)
        assert (seen["end_reason"], seen["exit_code"]) == ("system-error", None)
        assert "pifopfs: ended: somebody else cancelled its job" in seen["log"]


def test_a_server_that_dies_between_sbatch_and_its_answer_finds_the_job(
    root: Path, slurm: SlurmCluster
) -> None:
    with cluster_server(root, slurm) as server:
        server.function("one", "cat a.txt; echo begun >> r.txt")
        # It submits, and the answer comes never.
        commands = fake(root, "sbatch", '/usr/bin/sbatch "$@" > /dev/null; sleep 60')
        server.start(path=str(commands))
        execution = server.started("one")
        until(lambda: server.jobs(execution), what="it was submitted")
        server.end(signal.SIGKILL)
        server.start()
        assert server.ended(execution)["end_reason"] == "normal"
        assert server.output(execution) == "begun\n"
        assert len(server.jobs(execution)) == 1


def test_a_server_that_dies_before_sbatch_submits_later(root: Path, slurm: SlurmCluster) -> None:
    with cluster_server(root, slurm, "--engine-option", "extra=--comment=kept") as server:
        server.function("one", "echo begun >> r.txt", engines={"slurm": {"cpus": 2}})
        commands = fake(root, "sbatch", "sleep 60")
        server.start(path=str(commands))
        execution = server.started("one")
        until(lambda: list(server.state.glob("executions/*/engine/options")))
        until(lambda: (root / "bin" / "sbatch.called").exists(), what="it wants to submit")
        server.end(signal.SIGKILL)
        server.start()
        assert server.ended(execution)["end_reason"] == "normal"
        assert server.output(execution) == "begun\n"
        assert server.jobs(execution, "%C %k") == ["2 kept"]


@pytest.mark.parametrize("number", ENDINGS)
def test_nothing_is_lost_or_run_twice_at_any_moment(
    root: Path, slurm: SlurmCluster, number: signal.Signals
) -> None:
    with cluster_server(root, slurm) as server:
        server.function("one", "echo begun >> r.txt; echo hello; sleep 0.3; echo bye; exit 5")
        executions: list[str] = []
        for _ in range(3):
            server.start()
            executions += [server.started("one") for _ in range(2)]
            time.sleep(random.uniform(0, 1))  # any moment is a right one
            server.end(number)
        server.start()
        for execution in executions:
            seen = server.ended(execution)
            assert (seen["end_reason"], seen["exit_code"]) == ("normal", 5)
            assert seen["log"] == "hello\nbye\n"
            assert server.output(execution) == "begun\n"


def test_what_was_asked_to_end_ends_after_a_restart_too(
    root: Path, slurm: SlurmCluster, go: Path
) -> None:
    with cluster_server(root, slurm, "--isolation", "none") as server:
        server.function("count", COUNT.format(go=go))
        server.function("long", "echo up; sleep 600", limits={"max_time": 0.1})
        server.start()
        stopped, removed, limited = (server.started(name) for name in ("count", "count", "long"))
        for execution in (stopped, removed):
            server.until_printed(execution, "line 1\n")
        server.until_printed(limited, "up\n")
        server.end(signal.SIGKILL)
        server.start()
        seen = server.call("POST", f"{stopped}/stop")
        assert (seen["status"], seen["end_reason"], seen["stopped"]) == ("ended", "normal", True)
        assert "asked" in server.look(stopped)["log"]
        server.call("DELETE", removed)
        until(lambda: server.jobs(removed, "%T")[0] not in ("RUNNING", "COMPLETING"))
        assert server.ended(limited, 20)["end_reason"] == "timeout"


def fake(root: Path, name: str, script: str) -> Path:
    """A folder with a command in place of Slurm's own, which notes that it was called."""
    folder = root / "bin"
    folder.mkdir(exist_ok=True)
    command = folder / name
    command.write_text(f"#!/bin/sh\ntouch {folder}/{name}.called\n{script}\n")
    command.chmod(stat.S_IRWXU)
    return folder


def test_what_was_not_launched_yet_is_launched_by_the_next_server(
    root: Path, slurm: SlurmCluster
) -> None:
    """Killed while the folder is copied, at once, and again."""
    with cluster_server(root, slurm) as server:
        server.function("one", "cat a.txt big | wc -c > r.txt; echo begun >> r.txt")
        (root / "fns" / "joe" / "one" / "big").write_bytes(bytes(300_000_000))
        server.start()
        execution = f"one/executions/{server.call('POST', 'one/executions')['id']}"
        server.upload(execution, "a", b"12345")
        server.call("POST", f"{execution}/start")
        for _ in range(3):
            server.end(signal.SIGKILL)
            server.start()
        seen = server.ended(execution)
        assert (seen["end_reason"], seen["exit_code"]) == ("normal", 0)
        assert server.output(execution) == "300000005\nbegun\n"
        assert not list(server.state.glob("executions/*/copy"))


def test_a_server_does_not_take_up_what_another_engine_runs(
    root: Path, slurm: SlurmCluster
) -> None:
    with cluster_server(root, slurm) as server:
        server.function("long", "echo up; sleep 600")
        server.start()
        execution = server.started("long")
        server.until_printed(execution, "up\n")
        server.end()
        done = failing(root, "--socket", str(server.socket), "--state-dir", str(server.state))
        assert done.returncode != 0
        assert "runs of the engine slurm have not ended" in done.stderr
        assert "start with --engine slurm" in done.stderr
        assert "Traceback" not in done.stderr
        server.start()
        assert server.call("POST", f"{execution}/stop")["stopped"] is True
        server.end()
        with serving(root, "--socket", str(server.socket), "--state-dir", str(server.state)) as now:
            assert now[1].startswith("serving")


def test_a_waiting_job_that_was_cancelled_and_forgotten_is_not_submitted_again(
    root: Path, slurm: SlurmCluster
) -> None:
    with cluster_server(root, slurm, "--engine-option", "extra=--hold") as server:
        server.function("one", "echo begun >> r.txt")
        server.start()
        execution = server.started("one")
        until(lambda: list(server.state.glob("executions/*/engine/submitted")))
        server.end(signal.SIGKILL)
        slurm.run("scancel", *server.jobs(execution))
        commands = fake(root, "squeue", "exit 0") and fake(root, "sacct", "exit 1")
        server.start(path=str(commands))
        seen = server.ended(execution)
        assert (seen["end_reason"], seen["exit_code"]) == ("system-error", None)
        assert "Slurm has forgotten its job, which had not begun" in seen["log"]
        assert len(server.jobs(execution)) == 1


def test_jobs_of_runs_that_have_ended_are_ended_at_the_next_start(
    root: Path, slurm: SlurmCluster
) -> None:
    with cluster_server(root, slurm) as server:
        server.function("long", "echo up; sleep 600")
        server.start()
        execution = server.started("long")
        server.until_printed(execution, "up\n")
        (name,) = slurm.run("squeue", "-h", "-o", "%j").split()
        stray = name[:-4] + "gone"
        for job in (stray, "pifopfs-others"):
            slurm.run("sbatch", "--output=/dev/null", f"--job-name={job}", "--wrap=sleep 600")
        server.end(signal.SIGKILL)
        server.start()

        def left() -> set[str]:
            return set(slurm.run("squeue", "-h", "-t", "R,PD", "-o", "%j").split())

        until(lambda: left() == {name, "pifopfs-others"})
        assert server.look(execution)["status"] == "running"
