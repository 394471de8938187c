"""`pifopfs run` on a folder: the embedded server, real programs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from pifopfs.machine import processes
from tests.fakeservice import until
from tests.mount.harness import PIFOPFS
from tests.run.harness import Shell

NONE = ("--isolation", "none")
"""What is shown here is the same with a sandbox, and quicker."""


def test_a_folder_is_run_on_this_machine(here: Shell, make_function: Callable[..., Path]) -> None:
    make_function("echo to stdout; echo to stderr >&2; tr a-z A-Z < a.txt > r.txt")
    here.write("words", b"some words\n")
    result = here.good("./fn", "-i", "a=words", "-o", "r=loud")
    assert (here.root / "loud").read_bytes() == b"SOME WORDS\n"
    assert result.stderr == b"to stdout\nto stderr\n"
    assert result.stdout == b""


def test_the_exit_code_of_a_program_is_told(
    here: Shell, make_function: Callable[..., Path]
) -> None:
    make_function("echo half > r.txt; exit 7")
    result = here.run("./fn", "-o", "r=out", "--json", *NONE)
    assert result.returncode == 10
    document = json.loads(result.stdout)
    assert (document["end"], document["exit_code"], document["outputs"]) == ("failed", 7, [])
    assert not (here.root / "out").exists()
    assert here.run("./fn", "-o", "r=out", "--partial", *NONE).returncode == 10
    assert (here.root / "out").read_bytes() == b"half\n"


def test_a_time_limit_is_told_as_such(here: Shell, make_function: Callable[..., Path]) -> None:
    make_function("sleep 60", limits={"max_time": 0.01})
    assert here.run("./fn", *NONE).returncode == 12


def test_what_is_kept_can_be_waited_for_and_its_log_be_read(
    here: Shell, make_function: Callable[..., Path]
) -> None:
    make_function("echo words; exit 3")
    here.env |= {"PIFOPFS_ISOLATION": "none", "PIFOPFS_SERVER_LINGER": "3"}
    id_ = here.run("./fn", "-q", "--keep").stdout.decode().strip()
    pifopfs = " ".join(PIFOPFS)
    script = f"{pifopfs} logs ./fn {id_}; {pifopfs} wait ./fn {id_} exec_nobody; echo $?; "
    result = here.sh(script + f"{pifopfs} logs ./fn exec_nobody; echo $?")
    assert result.stdout.decode() == f"words\nnormal\t{id_}\n10\n16\n"


def test_an_unknown_output_is_refused(here: Shell, make_function: Callable[..., Path]) -> None:
    make_function()
    result = here.run("./fn", "-o", "x=out", *NONE)
    assert result.returncode == 2
    assert b"there are: r" in result.stderr


def test_ctrl_c_ends_the_program(here: Shell, make_function: Callable[..., Path]) -> None:
    make_function("echo $$; exec sleep 60")
    process = here.spawn("./fn", *NONE)
    assert process.stderr is not None
    program = int(process.stderr.readline())
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == -signal.SIGINT
    until(lambda: program not in [each.pid for each in processes() if not each.dead])


def test_make_remakes_what_is_older_and_keeps_what_failed(
    here: Shell, make_function: Callable[..., Path]
) -> None:
    make_function("grep -v bad a.txt > r.txt")
    command = " ".join(here.command("./fn", "-q", "-i", "a=$<", "-o", "r=$@", *NONE))
    here.write("Makefile", f"all: x.out y.out\n%.out: %.in\n\t@{command}\n".encode())
    here.write("x.in", b"one\n")
    here.write("y.in", b"two\n")
    assert here.sh("make -s -j2").returncode == 0
    assert (here.root / "x.out").read_bytes() == b"one\n"
    assert here.sh("make -q").returncode == 0
    here.sh("echo bad > x.in; touch -d '+5 seconds' x.in")
    failed = here.sh("make")
    assert failed.returncode == 2
    assert b"failed with exit code 1" in failed.stderr
    assert (here.root / "x.out").read_bytes() == b"one\n"
    assert here.sh("make -q").returncode == 1
