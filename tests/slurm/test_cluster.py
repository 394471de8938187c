"""The clusters of these tests leave nothing behind, whatever happens to the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakeservice import until
from tests.slurmcluster import SlurmCluster, missing

DIES = """
import os
from tests.slurmcluster import SlurmCluster
cluster = SlurmCluster()
cluster.start()
cluster.run("sbatch", "--parsable", "--output=/dev/null", "--wrap", "sleep 600")
while "R" not in cluster.run("squeue", "--noheader", "--format=%t"):
    pass
print(cluster.folder, *cluster.nodes, flush=True)
os._exit(1)
"""


def left(folder: str, nodes: list[str]) -> list[str]:
    """Processes, control groups and files of a cluster."""
    groups = [path for node in nodes for path in Path("/sys/fs/cgroup").glob(f"*/slurm_{node}")]
    lines = Path("/proc").glob("[0-9]*/cmdline")
    running = [line for line in lines if f"{folder}/".encode() in read(line)]
    return [str(path) for path in (*groups, *running, Path(folder)) if path.exists()]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_cluster_ends_with_the_process_that_made_it() -> None:
    dies = subprocess.run(
        [sys.executable, "-c", DIES], stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert dies.returncode == 1
    folder, *nodes = dies.stdout.split()
    assert len(nodes) == 2
    until(lambda: not left(folder, nodes), 40)


def test_a_broken_cluster_can_be_mended_and_ends_all_the_same(
    own_slurm: SlurmCluster, root: Path
) -> None:
    folder, nodes = str(own_slurm.folder), own_slurm.nodes
    first = nodes[0]
    own_slurm.stop_controller()
    own_slurm.kill_node(first)
    own_slurm.start_controller()
    own_slurm.start_node(first, unshare=f"mount -t tmpfs none {root}")
    (root / "seen").touch()
    look = f"ls {root}; echo looked"
    log = own_slurm.folder / "looked"
    for node in nodes:
        own_slurm.run("sbatch", f"--nodelist={node}", f"--output={log}-{node}", f"--wrap={look}")
    until(lambda: all(b"looked" in read(Path(f"{log}-{node}")) for node in nodes))
    assert [read(Path(f"{log}-{node}")) for node in nodes] == [b"looked\n", b"seen\nlooked\n"]
    own_slurm.kill_node(first)
    own_slurm.stop()
    assert left(folder, nodes) == []
