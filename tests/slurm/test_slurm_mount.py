"""A folder that is mounted with the cluster as its engine: files, as ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functions import write_function
from tests.mount.harness import Mount
from tests.slurm.server import until
from tests.slurmcluster import SlurmCluster


@pytest.fixture
def folder(root: Path, slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))
    script = "echo up; tr a-z A-Z < a.txt > r.txt; [ ! -s a.txt ] || exit 3; sleep 600"
    return write_function(root / "fn", script)


def test_a_folder_runs_on_the_cluster_and_looks_as_ever(
    root: Path, folder: Path, slurm: SlurmCluster
) -> None:
    with Mount(root, str(folder), "--engine", "slurm") as mount:
        mount.sh(
            "mkdir executions/j; echo hello > executions/j/input/a; echo 1 > executions/j/start"
        )
        assert mount.out("cat executions/j/wait executions/j/log executions/j/output/r") == (
            "normal\nup\nHELLO\n"
        )
        status = json.loads(mount.out("cat executions/j/status.json"))
        assert (status["end_reason"], status["exit_code"]) == ("normal", 3)
        id_ = status["id"]
        names = slurm.run("squeue", "-h", "-t", "all", "-o", "%T %j").splitlines()
        assert [line for line in names if line.startswith("FAILED") and line.endswith(id_)]
        mount.sh("rmdir executions/j")


def test_a_mount_tells_of_the_queue_and_stops_what_waits_and_what_runs(
    root: Path, folder: Path, slurm: SlurmCluster
) -> None:
    options = ("--engine-option", "probe=no", "--engine-option", "most=1")
    with Mount(root, str(folder), "--engine", "slurm", *options) as mount:
        for name in ("first", "second", "third"):
            mount.sh(f"mkdir executions/{name}; : > executions/{name}/input/a")
            mount.sh(f"echo 1 > executions/{name}/start")
        until(lambda: "up\n" in mount.out("cat executions/first/log"))

        def position(name: str) -> object:
            return json.loads(mount.out(f"cat executions/{name}/status.json"))["queue_position"]

        until(lambda: (position("second"), position("third")) == (0, 1))
        mount.sh("echo 1 > executions/third/stop; echo 1 > executions/first/stop")
        until(lambda: "up\n" in mount.out("cat executions/second/log"))
        mount.sh("rmdir executions/second")  # which ends it
        until(lambda: slurm.run("squeue", "-h") == "", what="no job is left")
        for name in ("first", "third"):
            assert json.loads(mount.out(f"cat executions/{name}/status.json"))["stopped"] is True
