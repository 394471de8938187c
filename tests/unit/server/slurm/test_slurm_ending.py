"""How a run has ended, from what Slurm says and what its script has left."""

from __future__ import annotations

from pathlib import Path

import pytest

from pifopfs.server.engines import SetUpFailed
from pifopfs.server.engines.slurm.ending import LOST, checked, forgotten
from pifopfs.server.engines.slurm.files import Files
from pifopfs.server.engines.slurm.script import UNUSABLE
from pifopfs.server.sandbox.launch import Exit, Launch

CANCELLED = Exit(143, failure="somebody else cancelled its job")


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch("exec_1", ("prog",), tmp_path)


@pytest.fixture
def files(launch: Launch) -> Files:
    files = Files.of(launch)
    files.make()
    return files


def test_a_failure_is_one_where_the_script_has_left_no_end(files: Files, launch: Launch) -> None:
    write(files, "said", "1.5\nready\n")
    assert checked(CANCELLED, files, launch, "n1", unwanted=False) == CANCELLED


def test_regression_what_befalls_a_job_after_its_script_has_ended_is_no_end_of_its_program(
    files: Files, launch: Launch
) -> None:
    """A controller that was killed knew no more that the job had begun, and cancelled it."""
    write(files, "said", "1.5\nready\n")
    write(files, "end", "3 20 7 0\n")
    for said in (CANCELLED, Exit(143, timed_out=True), Exit(0, failure="its node failed")):
        assert checked(said, files, launch, "n1", unwanted=False) == Exit(3, dropped=7)


def test_a_lack_of_memory_is_told_whatever_the_script_says(files: Files, launch: Launch) -> None:
    write(files, "said", "1.5\nready\n")
    write(files, "end", "0 20 0 0\n")
    ended = checked(Exit(137, out_of_memory=True), files, launch, "n1", unwanted=False)
    assert ended == Exit(0, out_of_memory=True)


def test_a_program_that_died_of_a_signal_has_ended_even_where_that_could_not_be_written(
    files: Files, launch: Launch
) -> None:
    """On a full disk, say; a script that is killed itself has a wait status that tells so."""
    write(files, "said", "1.5\nready\n")
    assert checked(Exit(139), files, launch, "n1", unwanted=False) == Exit(139)


def test_a_lack_of_memory_is_told_even_where_slurm_has_forgotten_it(
    files: Files, launch: Launch
) -> None:
    write(files, "said", "1.5\nready\n")
    write(files, "end", "137 20 0 1\n")
    ended = checked(LOST, files, launch, "n1", unwanted=False)
    assert ended == Exit(137, out_of_memory=True)


@pytest.mark.parametrize("half", ["", "3", "3 20", "3 20 0 0", "a b c d\n", "3 20\n"])
def test_half_an_end_is_none(files: Files, launch: Launch, half: str) -> None:
    write(files, "said", "1.5\nready\n")
    write(files, "end", half)
    assert checked(CANCELLED, files, launch, "n1", unwanted=False) == CANCELLED


def test_a_missing_program_and_a_sandbox_that_fails_were_never_launched(
    files: Files, launch: Launch
) -> None:
    write(files, "said", "1.5\nmissing\n")
    with pytest.raises(FileNotFoundError, match="prog"):
        checked(Exit(127), files, launch, "n1", unwanted=False)
    write(files, "said", "1.5\n")
    write(files, "printed", "bwrap: no permission\n")
    with pytest.raises(SetUpFailed, match="on node n1: bwrap: no permission"):
        checked(Exit(1), files, launch, "n1", unwanted=False)
    assert checked(Exit(1), files, launch, "n1", unwanted=True) == Exit(1)


def test_a_node_that_does_not_see_the_files_is_named(files: Files, launch: Launch) -> None:
    ended = checked(Exit(UNUSABLE), files, launch, "n1", unwanted=False)
    assert ended.failure == "node n1 sees stale or missing files of its run"


@pytest.mark.parametrize(
    ("told", "failure"),
    [
        ("", LOST.failure),
        ("COMPLETED", LOST.failure),
        ("RUNNING", LOST.failure),
        ("NODE_FAIL", "its node failed"),
        ("CANCELLED", "somebody else cancelled its job"),
    ],
)
def test_a_job_that_slurm_has_forgotten(files: Files, told: str, failure: str) -> None:
    assert forgotten(files, told).failure == ("Slurm has forgotten its job, which had not begun")
    (files.folder / "taken").mkdir()
    assert forgotten(files, told).failure == failure


def test_a_job_that_slurm_has_forgotten_but_not_its_history(files: Files) -> None:
    (files.folder / "taken").mkdir()
    assert forgotten(files, "OUT_OF_MEMORY").out_of_memory
    assert forgotten(files, "TIMEOUT").timed_out


def write(files: Files, name: str, text: str) -> None:
    (files.folder / name).write_text(text)
