"""What Slurm's commands say: whether nothing is known now, or something is not wanted."""

from __future__ import annotations

import subprocess

import pytest

from pifopfs.server.engines.slurm.commands import SlurmAway, SlurmRefused, _answer, _parsed
from pifopfs.server.engines.slurm.states import Seen

FAILED = "sbatch: error: Batch job submission failed: "


def answer(said: str) -> str:
    return _answer("sbatch", subprocess.CompletedProcess([], 1, b"", said.encode()))


@pytest.mark.parametrize(
    "said",
    [
        f"{FAILED}Unable to contact slurm controller (connect failure)",
        f"{FAILED}Socket timed out on send/recv operation",
        f"{FAILED}Zero Bytes were transmitted or received",
        f"{FAILED}Resource temporarily unavailable",
        f"{FAILED}Slurm job queue full",
        f"{FAILED}Protocol authentication error",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{FAILED}Job violates accounting/QOS policy",
        f"sbatch: error: AssocGrpSubmitJobsLimit\n{FAILED}Job violates accounting/QOS policy",
        "sbatch: error: If munged is up, restart with --num-threads=10",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
    ],
)
def test_what_passes_says_nothing_of_a_job(said: str) -> None:
    with pytest.raises(SlurmAway):
        answer(said)


@pytest.mark.parametrize(
    "said",
    [
        f"{FAILED}Invalid partition name specified",
        "sbatch: error: invalid partition specified: sockets",
        'sbatch: error: Invalid numeric value "abc" for --sockets-per-node.',
        f"{FAILED}Requested node configuration is not available",
        f"sbatch: error: QOSMaxMemoryPerJob\n{FAILED}Job violates accounting/QOS policy",
        "sbatch: unrecognized option '--connection'",
        "",
    ],
)
def test_what_does_not_pass_is_a_refusal(said: str) -> None:
    with pytest.raises(SlurmRefused):
        answer(said)


def test_a_line_of_squeue() -> None:
    line = "7|pifopfs-x|FAILED|768|node[1-2]|1795812411|Some|odd reason|"
    assert _parsed(line) == Seen(
        "7", "pifopfs-x", "FAILED", "Some|odd reason", 768, "node[1-2]", 1795812411.0
    )
    assert _parsed("8|n|PENDING|0||N/A|Priority|") == Seen("8", "n", "PENDING", "Priority")


@pytest.mark.parametrize(
    "line", ["", "CLUSTER: foo", "x|y|z", "x|n|RUNNING|0|||", "7|n|RUNNING|x|||"]
)
def test_a_line_that_is_none_of_squeues_is_left_out(line: str) -> None:
    assert _parsed(line) is None
