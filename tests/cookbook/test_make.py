"""make -j: what is made, what is not made again, and what a failure leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess

from tests.cookbook.conftest import Reader
from tests.cookbook.recipes import recipe
from tests.fakeservice import until
from tests.functions import write_function

RECIPE = recipe("A Makefile with -j")
WITHOUT_MOUNT = recipe("A Makefile with pifopfs run")
CITIES = [f"city{number}" for number in range(1, 9)]


def made(reader: Reader) -> list[str]:
    return sorted(path.stem for path in reader.home.glob("*.tour"))


def test_make_makes_all_and_then_only_what_has_changed(reader: Reader) -> None:
    reader.begin()
    RECIPE.save(reader.home)
    reader.sh(*RECIPE.commands)
    assert made(reader) == CITIES
    for name in CITIES:
        tour = json.loads((reader.home / f"{name}.tour").read_text())["tour"]
        assert sorted(tour) == list(range(20))
    assert reader.out("ls ~/tsp/executions") == ""
    assert "Nothing to be done" in reader.out("make -j 4")
    again = reader.out("touch city3.csv; make -j 4")
    assert [line for line in again.splitlines() if line.startswith("mkdir")] == [
        f"mkdir {reader.home}/tsp/executions/city3"
    ]


def test_a_failed_job_fails_make_shows_its_log_and_leaves_no_target(reader: Reader) -> None:
    reader.begin()
    RECIPE.save(reader.home)
    (reader.home / "good.csv").write_text("x,y\n0,0\n3,4\n")
    (reader.home / "bad.csv").write_text("this is no table\n")
    result = reader.sh("make -j 4 -k", check=False)
    assert result.returncode == 2
    assert "line 1: the header x,y is missing" in result.stderr
    assert made(reader) == ["good"]
    (reader.home / "bad.csv").write_text("x,y\n0,0\n3,4\n")  # its execution is still there
    reader.sh("make -j 4")
    assert made(reader) == ["bad", "good"]
    assert reader.out("ls ~/tsp/executions") == ""


def make_with(reader: Reader, script: str, make: str) -> subprocess.CompletedProcess[str]:
    """What `make` does with one table, and a function that is this script."""
    RECIPE.save(reader.home)
    (reader.home / "one.csv").write_text("x,y\n")
    names = {"input": [{"id": "coords"}], "output": [{"id": "result"}]}
    write_function(reader.home / "other", script, **names)
    reader.sh("mkdir -p mounts/tsp; pifopfs mount ./other mounts/tsp")
    return reader.sh(f"{make} TSP=~/mounts/tsp/executions", check=False)


def test_an_output_of_a_function_that_has_failed_is_no_target(reader: Reader) -> None:
    result = make_with(reader, "echo half > result; echo oh; exit 3", "make")
    assert (result.returncode, result.stderr.splitlines()[0]) == (2, "oh")
    assert made(reader) == []


def test_a_target_that_came_short_is_deleted(reader: Reader) -> None:
    result = make_with(reader, "head -c 9000 /dev/zero > result", "trap '' XFSZ; ulimit -f 4; make")
    assert result.returncode == 2
    assert "Deleting file 'one.tour'" in result.stderr
    assert made(reader) == []


def test_without_a_mount_make_makes_all_and_then_only_what_has_changed(reader: Reader) -> None:
    WITHOUT_MOUNT.save(reader.home)
    reader.sh(*WITHOUT_MOUNT.commands)
    assert made(reader) == CITIES
    assert "Nothing to be done" in reader.out("make -j 4")
    again = reader.out("touch city3.csv; make -j 4")
    assert [line for line in again.splitlines() if "pifopfs" in line] == [
        "pifopfs run example:tsp -i coords=city3.csv -o result=city3.tour"
    ]


def test_without_a_mount_a_failed_job_fails_make_too(reader: Reader) -> None:
    WITHOUT_MOUNT.save(reader.home)
    (reader.home / "good.csv").write_text("x,y\n0,0\n3,4\n")
    (reader.home / "bad.csv").write_text("this is no table\n")
    result = reader.sh("make -j 4 -k", check=False)
    assert result.returncode == 2
    assert "line 1: the header x,y is missing" in result.stderr
    assert made(reader) == ["good"]


def test_without_a_mount_nothing_is_left_running_after_an_interruption(reader: Reader) -> None:
    for name in ("one", "two"):
        (reader.home / f"{name}.csv").write_text("x,y\n")
    names = {"input": [{"id": "coords"}], "output": [{"id": "result"}]}
    write_function(reader.home / "slow", "echo begins; sleep 94321", **names)
    makefile = WITHOUT_MOUNT.files["Makefile"].replace("example:tsp", "./slow")
    (reader.home / "Makefile").write_text(makefile)
    with (reader.home / "shown").open("w") as shown:
        make = subprocess.Popen(
            ["make", "-j", "2"],
            cwd=reader.home, env=reader.env, stdout=shown, stderr=shown, start_new_session=True,
        )  # fmt: skip
    until(lambda: (reader.home / "shown").read_text().count("begins") == 2)
    os.killpg(make.pid, signal.SIGINT)  # as a terminal does
    assert make.wait(timeout=40) != 0
    until(lambda: subprocess.run(["pgrep", "-f", "^sleep 94321"], check=False).returncode == 1)
    assert made(reader) == []
    assert "may be left" not in (reader.home / "shown").read_text()
