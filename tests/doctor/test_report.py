"""How doctor tells what it has found: to people, to programs, to shells."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from pifopfs.doctor.table import CHECKS
from tests.doctor.rig import EVERY, run
from tests.mount.harness import PIFOPFS, environment

DOCTOR = [*PIFOPFS, "doctor"]


def test_each_finding_is_a_line_and_a_mend_is_below_it(root: Path) -> None:
    told = run([*DOCTOR, *EVERY, str(root)], root, None)
    assert told.returncode == 9
    lines = told.stdout.splitlines()
    (problem,) = (n for n, line in enumerate(lines) if line.startswith("  problem"))
    assert lines[problem] == f"  problem  {root}/function.json: there is no such file"
    assert lines[problem + 1] == "           -> write one: see the section on folders in README"
    assert "FUSE" in lines
    assert "  ok       /dev/fuse can be opened" in lines
    assert lines[-1].startswith("1 problem, ")
    assert "\x1b" not in told.stdout
    assert told.stderr == ""


def test_colours_are_for_a_terminal(root: Path) -> None:
    ours, theirs = os.openpty()
    command = [*DOCTOR, "--check", "open-files"]
    with subprocess.Popen(command, env=environment(root), stdout=theirs) as process:
        os.close(theirs)
        assert process.wait(30) == 0
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\x1b[32mok" in shown


def test_the_document_for_programs(root: Path) -> None:
    told = run([*DOCTOR, *EVERY, "--json"], root, None)
    document = json.loads(told.stdout)
    assert document["counts"]["problem"] == 0
    assert sum(document["counts"].values()) == len(document["findings"])
    names = [check.name for check in CHECKS]
    for finding in document["findings"]:
        assert finding.keys() == {"check", "state", "text", "mend"}
        assert finding["check"] in names
        assert "\n" not in finding["text"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 3, "neither AUTHOR/ID, nor a folder"),
        (["./nowhere"], 3, "is not a folder"),
        (["--check", "nonsense"], 2, "nonsense"),
        (["--nonsense"], 2, "No such option"),
    ],
)
def test_a_command_line_that_is_not_right(
    root: Path, arguments: list[str], code: int, words: str
) -> None:
    told = run([*DOCTOR, *arguments], root, None)
    assert told.returncode == code
    assert words in told.stderr
    assert told.stdout == ""


def test_the_help_tells_the_exit_codes(root: Path) -> None:
    told = run([*DOCTOR, "--help"], root, None)
    assert "  9  there is a problem" in told.stdout
    assert "  0  all is well, or there are warnings only" in told.stdout


def test_odd_bytes_in_names_stay_on_their_line(root: Path) -> None:
    folder = root / "a\n\x1b[31mb"
    folder.mkdir()
    told = run([*DOCTOR, "--check", "function-file", str(folder)], root, None)
    assert f"  problem  {root}/a\\n\\x1b[31mb/function.json: there is no such file" in told.stdout
