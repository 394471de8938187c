"""GNU parallel: a table of 100 executions, also where the first attempt is cut off."""

from __future__ import annotations

import os
import signal
import subprocess

from tests.cookbook.conftest import Reader
from tests.cookbook.recipes import recipe
from tests.fakeservice import until

RECIPE = recipe("A sweep over 100 executions with GNU parallel")


def log(reader: Reader) -> list[tuple[str, int]]:
    """The command and the exit status of every execution that has ended."""
    _, *lines = (reader.home / "sweep.log").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    return [(row[8], int(row[6])) for row in rows]


def values(reader: Reader) -> list[str]:
    return (reader.home / "values").read_text().split()


def check_table(reader: Reader) -> None:
    rows = [tuple(map(float, line.split())) for line in reader.out("cat sweep.txt").splitlines()]
    assert [r for r, _ in rows] == [round(2.515 + 0.015 * step, 3) for step in range(100)]
    for r, x in rows[:32]:  # where it has a fixed point that attracts
        assert abs(x - (1 - 1 / r)) < 1e-5, (r, x)
    assert reader.out("ls ~/sweep/executions") == ""


def sweep(reader: Reader) -> subprocess.Popen[bytes]:
    """The recipe, under way, as a terminal runs it."""
    return subprocess.Popen(
        ["bash", "-ec", "\n".join(RECIPE.commands)],
        cwd=reader.home, env=reader.env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def until_done(reader: Reader, count: int) -> None:
    points = reader.home / "points"
    until(lambda: points.is_dir() and len(list(points.iterdir())) >= count)


def succeeded(reader: Reader) -> list[str]:
    return [command for command, status in log(reader) if status == 0]


def test_a_sweep_goes_on_with_what_is_missing_after_an_interruption_and_a_lost_mount(
    reader: Reader,
) -> None:
    RECIPE.save(reader.home)
    process = sweep(reader)
    until_done(reader, 20)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(timeout=60) != 0
    after_interruption = len(succeeded(reader))
    assert 10 <= after_interruption < 60

    process = sweep(reader)
    until_done(reader, after_interruption + 20)
    reader.sh("pifopfs umount --force ~/sweep")
    assert process.wait(timeout=60) != 0
    rows = log(reader)
    assert {command for command, _ in rows} == {f"./point {value}" for value in values(reader)}
    assert after_interruption + 10 <= len(succeeded(reader)) < 100

    reader.sh(*RECIPE.commands)
    assert {status for _, status in log(reader)[len(rows) :]} == {0}
    assert sorted(succeeded(reader)) == [f"./point {value}" for value in values(reader)]
    check_table(reader)
