"""What Slurm says of a job, and what that means for its run."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess

import pytest

from pifopfs.server.engines.slurm.states import FATES, WHY, Fate, Seen, exit_of

DOCUMENTED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "CONFIGURING",
    "COMPLETING",
    "DEADLINE",
    "EXPEDITING",
    "FAILED",
    "LAUNCH_FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PENDING",
    "POWER_UP_NODE",
    "PREEMPTED",
    "RECONFIG_FAIL",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "REQUEUED",
    "RESIZING",
    "RESV_DEL_HOLD",
    "REVOKED",
    "RUNNING",
    "SIGNALING",
    "SPECIAL_EXIT",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
    "TIMEOUT",
}
"""Job states of Slurm's manual, of all versions up to 25.05."""


def seen(state: str, status: int = 0) -> Seen:
    return Seen("7", "name", state, "", status, "node1")


def test_the_table_has_every_state_of_the_manual() -> None:
    assert set(FATES) == DOCUMENTED
    assert set(WHY) == {state for state, fate in FATES.items() if fate is Fate.FAILURE}


@pytest.mark.skipif(shutil.which("man") is None, reason="no manual pages here")
def test_the_table_has_every_state_of_the_installed_manual() -> None:
    text = subprocess.run(
        ["man", "squeue"], capture_output=True, text=True, check=False, env={"MANWIDTH": "200"}
    ).stdout
    states = set(re.findall(r"^\s+[A-Z]{1,2}\s+([A-Z_]{4,})\s", text, re.MULTILINE))
    if not states:
        pytest.skip("the manual of squeue is not installed")
    assert states <= set(FATES)


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("COMPLETED", 0, 0),
        ("FAILED", 3 << 8, 3),
        ("FAILED", 139 << 8, 139),
        ("FAILED", 127 << 8, 127),
    ],
)
def test_what_ends_by_itself_has_its_exit_code(state: str, status: int, code: int) -> None:
    ended = exit_of(seen(state, status))
    assert ended is not None
    assert (ended.code, ended.failure, ended.out_of_memory, ended.timed_out) == (
        code,
        "",
        False,
        False,
    )


def test_limits_are_told_apart() -> None:
    memory, time = exit_of(seen("OUT_OF_MEMORY", 125)), exit_of(seen("TIMEOUT", 15))
    assert memory is not None
    assert memory.out_of_memory
    assert time is not None
    assert time.timed_out


@pytest.mark.parametrize("state", [*WHY])
def test_what_was_not_its_own_doing_is_a_failure_that_names_the_node(state: str) -> None:
    ended = exit_of(seen(state))
    assert ended is not None
    assert ended.failure == f"{WHY[state]} (node1)"


def test_a_script_that_could_not_be_started_is_a_failure() -> None:
    ended = exit_of(seen("FAILED", 53))
    assert ended is not None
    assert ended.failure == "its node could not launch it (node1)"


def test_a_script_that_was_killed_is_a_failure() -> None:
    """It tells an end for every way in which its program ends, by a signal or not."""
    ended = exit_of(seen("FAILED", signal.SIGKILL))
    assert ended is not None
    assert ended.failure == "its batch script was killed by signal 9 (node1)"


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "NEVER_HEARD"])
def test_what_goes_on_has_no_end(state: str) -> None:
    assert exit_of(seen(state)) is None
