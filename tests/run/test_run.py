"""`pifopfs run`: the whole job in one line, and nothing left behind."""

from __future__ import annotations

import json
import os
import random
import stat
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakeservice import (
    FakeExecution,
    FakeService,
    Handler,
    delayed,
    refuse,
    reset,
    short,
    until,
)
from tests.run.harness import Shell, left_behind

JOB = ("joe/tsp", "-i", "coords=cities", "-o", "result=tour")


def ends(reason: str | None = "normal", log: bytes = b"", **extra: Any) -> Any:
    """What a started execution does: it ends at once, with the output `result`."""

    def on_start(execution: FakeExecution) -> None:
        execution.log = log
        execution.extra.update(extra)
        execution.end(reason or "", result=b"tour of " + execution.inputs.get("coords", b""))
        execution.end_reason = reason

    return on_start


def test_the_whole_job_in_one_line(shell: Shell, service: FakeService) -> None:
    service.on_start = ends(log=b"searching\nfound \x1b[1mit\n")
    result = shell.good(*JOB)
    assert (shell.root / "tour").read_bytes() == b"tour of x,y\n1,2\n"
    assert result.stderr == b"searching\nfound \x1b[1mit\n"
    assert result.stdout == b""
    assert service.executions == {}
    assert service.count("create") == service.count("start") == service.count("terminate") == 1


@pytest.mark.parametrize(
    ("reason", "extra", "code", "words"),
    [
        ("normal", {"exit_code": 3}, 10, b"failed with exit code 3"),
        ("out-of-memory", {"exit_code": 137}, 11, b"more memory"),
        ("timeout", {"exit_code": 137}, 12, b"more time"),
        ("normal", {"stopped": True, "exit_code": 143}, 13, b"stopped"),
        ("eaten-by-a-grue", {}, 15, b"eaten-by-a-grue"),
    ],
)
def test_the_exit_code_says_how_it_ended(
    shell: Shell,
    service: FakeService,
    reason: str | None,
    extra: dict[str, Any],
    code: int,
    words: bytes,
) -> None:
    service.on_start = ends(reason, **extra)
    shell.write("tour", b"old")
    result = shell.run(*JOB)
    assert result.returncode == code
    assert words in result.stderr
    assert (shell.root / "tour").read_bytes() == (b"old" if code else b"tour of x,y\n1,2\n")
    assert service.executions == {}


def test_outputs_of_a_function_that_failed_are_brought_where_that_is_asked_for(
    shell: Shell, service: FakeService
) -> None:
    service.on_start = ends("timeout")
    assert shell.run(*JOB, "--partial").returncode == 12
    assert (shell.root / "tour").read_bytes() == b"tour of x,y\n1,2\n"


# ── What is refused before there is an execution ──────────────────────────────────────────────


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["-i", "x=cities"], b"no input 'x'; there are: coords, model"),
        (["-i", "coords=nowhere"], b"nowhere"),
        (["-o", "result=tour", "-o", "log=./tour"], b"one file"),
        (["-o", "result=no/where"], b"mkdir"),
        (["-o", "result=-", "--json"], b"--json"),
        (["--timeout", "0"], b"--timeout"),
    ],
)
def test_what_is_not_right_is_refused_before_anything_is_created(
    shell: Shell, service: FakeService, args: list[str], word: bytes
) -> None:
    result = shell.run("joe/tsp", *args)
    assert result.returncode == 2
    assert word in result.stderr
    assert service.count("create") == 0


def test_names_that_the_service_does_not_tell_are_for_it_to_decide(
    shell: Shell, service: FakeService
) -> None:
    service.inputs = None
    service.on_start = ends()
    shell.good("joe/tsp", "-i", "anything=cities")
    service.fault("upload", refuse(404, "no such input"))
    result = shell.run("joe/tsp", "-i", "other=cities")
    assert result.returncode == 5
    assert b"no such input" in result.stderr
    assert service.executions == {}


# ── Files and streams ─────────────────────────────────────────────────────────────────────────


def test_standard_input_and_output_are_taken_byte_by_byte(
    shell: Shell, service: FakeService
) -> None:
    data = random.Random(1).randbytes(3_000_000)
    service.on_start = lambda execution: execution.end(result=execution.inputs["coords"])
    result = shell.good("joe/tsp", "-i", "coords=-", "-o", "result=-", stdin=data)
    assert result.stdout == data
    assert result.stderr == b""


def test_inputs_from_pipes_and_from_files_without_a_length(
    shell: Shell, service: FakeService
) -> None:
    seen = {}
    service.on_start = lambda execution: (seen.update(execution.inputs), execution.end())[1]
    result = shell.sh("run joe/tsp -i coords=<(echo one; echo two) -i model=/proc/version")
    assert result.returncode == 0, result.stderr
    assert seen == {"coords": b"one\ntwo\n", "model": Path("/proc/version").read_bytes()}


def test_who_reads_standard_output_may_have_enough(shell: Shell, service: FakeService) -> None:
    service.on_start = lambda execution: execution.end(result=b"x" * 5_000_000, other=b"whole")
    script = "run joe/tsp -o result=- -o other=other | head -c 1; echo ${PIPESTATUS[0]}"
    assert shell.sh(script).stdout == b"x141\n"
    assert (shell.root / "other").read_bytes() == b"whole"
    assert service.executions == {}


def test_a_file_is_replaced_with_its_mode_and_a_link_is_followed(
    shell: Shell, service: FakeService
) -> None:
    service.on_start = ends()
    (shell.root / "there").mkdir()
    real = shell.root / "there" / "real"
    real.write_bytes(b"old")
    real.chmod(0o604)
    (shell.root / "tour").symlink_to("there/real")
    assert shell.sh(f"umask 027; run {' '.join(JOB)}").returncode == 0
    assert (shell.root / "tour").is_symlink()
    assert real.read_bytes() == b"tour of x,y\n1,2\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o604
    shell.sh("umask 027; run joe/tsp -o result=new")
    assert stat.S_IMODE((shell.root / "new").stat().st_mode) == 0o640


def test_what_is_no_file_is_written_and_not_replaced(shell: Shell, service: FakeService) -> None:
    service.on_start = ends()
    os.mkfifo(shell.root / "pipe")
    result = shell.sh("cat pipe & run joe/tsp -o result=pipe; wait")
    assert result.stdout == b"tour of "
    assert stat.S_ISFIFO((shell.root / "pipe").stat().st_mode)
    shell.good("joe/tsp", "-o", "result=/dev/null")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_an_output_that_is_not_there_leaves_all_files_as_they_were(
    shell: Shell, service: FakeService
) -> None:
    service.on_start = ends()
    shell.write("tour", b"old")

    def after_the_other(handler: Handler) -> None:
        """`more` is refused once `result` is here, and could be in its place."""
        if handler.path.endswith("more"):
            until(lambda: any(path.stat().st_size == 16 for path in shell.root.iterdir()))
            began = time.monotonic()
            while time.monotonic() < began + 0.4 and (shell.root / "tour").stat().st_size == 3:
                threading.Event().wait(0.02)
        name = handler.path.rpartition("/")[2]
        handler._output(service.only().id, name)

    service.fault("output", after_the_other)
    result = shell.run(*JOB, "-o", "more=other")
    assert result.returncode == 17
    assert b"more" in result.stderr
    assert (shell.root / "tour").read_bytes() == b"old"
    assert not (shell.root / "other").exists()
    assert service.executions == {}


def test_a_download_that_breaks_is_tried_again(shell: Shell, service: FakeService) -> None:
    service.on_start = ends()
    service.fault("output", short(b"half", 1000), times=2)
    shell.good(*JOB)
    assert (shell.root / "tour").read_bytes() == b"tour of x,y\n1,2\n"


def test_a_download_that_breaks_for_good_leaves_the_old_file(
    shell: Shell, service: FakeService
) -> None:
    service.on_start = ends()
    service.fault("output", short(b"half", 1000))
    shell.write("tour", b"old")
    result = shell.run(*JOB)
    assert result.returncode == 5
    assert (shell.root / "tour").read_bytes() == b"old"
    assert left_behind(shell.root) == []
    assert service.executions == {}


def test_an_output_of_another_length_than_announced_is_an_error(
    shell: Shell, service: FakeService
) -> None:
    service.tells_length = False
    document = FakeExecution.document

    def on_start(execution: FakeExecution) -> None:
        execution.end(result=b"three")
        execution.document = lambda: {  # type: ignore[method-assign]
            **document(execution), "output": [{"id": "result", "size": 50}],
        }  # fmt: skip

    service.on_start = on_start
    shell.write("tour", b"old")
    result = shell.run(*JOB)
    assert result.returncode != 0
    assert b"50 bytes were announced, 5 came" in result.stderr
    assert (shell.root / "tour").read_bytes() == b"old"


def test_uploads_go_up_together(shell: Shell, service: FakeService) -> None:
    release = threading.Event()
    service.fault("upload", delayed(release))
    service.on_start = ends()
    process = shell.spawn("joe/tsp", "-i", "coords=cities", "-i", "model=cities")
    until(lambda: service.count("upload") == 2)
    release.set()
    assert process.wait(20) == 0


# ── The log ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("parts", [True, False])
def test_the_log_is_live_and_each_byte_comes_once(
    shell: Shell, service: FakeService, parts: bool
) -> None:
    service.supports_log_offset = parts
    process = shell.spawn("joe/tsp")
    execution = until(lambda: list(service.executions.values()))[0]
    until(lambda: execution.status == "running")
    execution.log = "erst é\n".encode()
    assert process.stderr is not None
    assert process.stderr.readline() == "erst é\n".encode()
    execution.log += b"then"
    execution.end()
    assert process.communicate(timeout=20)[1] == b"then\n"  # what is ours begins a line
    assert process.returncode == 0


def test_quiet_asks_for_no_log(shell: Shell, service: FakeService) -> None:
    service.on_start = ends(log=b"words")
    assert shell.good(*JOB, "--quiet").stderr == b""
    assert service.count("log") == 0


def test_without_those_who_read_the_log_the_job_goes_on(shell: Shell, service: FakeService) -> None:
    service.on_start = ends(log=b"x" * 500_000)
    result = shell.sh(f"run {' '.join(JOB)} 2>&1 >/dev/null | true; echo ${{PIPESTATUS[0]}}")
    assert result.stdout == b"0\n"
    assert (shell.root / "tour").read_bytes() == b"tour of x,y\n1,2\n"


# ── JSON, --keep, --timeout ───────────────────────────────────────────────────────────────────


def test_json_is_one_document_that_says_what_came_of_it(shell: Shell, service: FakeService) -> None:
    service.on_start = ends(exit_code=0, log=b"words\n")
    document = json.loads(shell.good(*JOB, "--json").stdout)
    assert document["function"] == "joe/tsp"
    assert document["id"].startswith("exec_")
    assert (document["end"], document["end_reason"], document["exit_code"]) == ("done", "normal", 0)
    assert document["inputs"] == [{"id": "coords", "size": 8}]
    assert document["outputs"] == [{"id": "result", "file": "tour", "size": 16}]
    assert document["created"] <= document["started"] <= document["ended"]
    assert 0 <= document["seconds"] < 20
    assert (document["kept"], document["error"], document["exit_status"]) == (False, None, 0)


def test_json_also_tells_of_failures(shell: Shell, service: FakeService) -> None:
    service.on_start = ends(exit_code=3)
    document = json.loads(shell.run(*JOB, "--json").stdout)
    assert (document["end"], document["exit_code"], document["exit_status"]) == ("failed", 3, 10)
    assert "exit code 3" in document["error"]
    service.down()
    document = json.loads(shell.run(*JOB, "--json").stdout)
    assert (document["id"], document["end"], document["exit_status"]) == (None, None, 5)
    assert document["error"]


def test_keep_prints_the_id_and_leaves_the_execution(shell: Shell, service: FakeService) -> None:
    service.on_start = ends(log=b"words\n")
    result = shell.good(*JOB, "--keep")
    assert result.stdout.decode() == f"{service.only().id}\n"
    service.executions.clear()
    result = shell.good("joe/tsp", "-o", "result=-", "--keep")
    assert result.stdout == b"tour of "
    assert result.stderr.decode() == f"{service.only().id}\nwords\n"


def test_an_execution_that_was_never_started_is_not_kept(
    shell: Shell, service: FakeService
) -> None:
    service.fault("upload", refuse(413, "too large"))
    result = shell.run(*JOB, "--keep")
    assert (result.returncode, result.stdout) == (5, b"")
    assert service.executions == {}


def test_an_execution_is_stopped_when_the_time_is_over(shell: Shell, service: FakeService) -> None:
    result = shell.run(*JOB, "--timeout", "0.5")
    assert result.returncode == 18
    assert b"--timeout" in result.stderr
    assert service.count("stop") == 1
    assert service.executions == {}
    assert not (shell.root / "tour").exists()


# ── The service away ──────────────────────────────────────────────────────────────────────────


def test_a_service_that_is_down(shell: Shell, service: FakeService) -> None:
    service.down()
    result = shell.run(*JOB)
    assert result.returncode == 5
    assert len(result.stderr.splitlines()) == 1


def test_an_outage_while_it_runs_is_ridden_out(shell: Shell, service: FakeService) -> None:
    shell.env["PIFOPFS_WAIT_OUTAGE"] = "20"
    process = shell.spawn(*JOB)
    until(lambda: service.count("start") == 1)
    execution = service.only()
    service.fault("status", reset)
    service.fault("log", reset)
    failed = service.count("status")
    until(lambda: service.count("status") > failed + 2)
    execution.end(result=b"late")
    service.heal()
    assert process.wait(20) == 0, process.communicate()
    assert (shell.root / "tour").read_bytes() == b"late"


def test_an_outage_that_lasts_ends_it_and_says_what_may_be_left(
    shell: Shell, service: FakeService
) -> None:
    process = shell.spawn(*JOB)
    until(lambda: service.count("start") == 1)
    service.down()
    _, words = process.communicate(timeout=30)
    assert process.returncode == 5
    assert b"may be left at the service" in words


def test_an_execution_that_was_terminated_elsewhere(shell: Shell, service: FakeService) -> None:
    process = shell.spawn(*JOB)
    until(lambda: service.count("start") == 1)
    service.executions.clear()
    assert process.wait(20) == 16


def test_rich_is_loaded_for_nothing_but_bars(shell: Shell, service: FakeService) -> None:
    service.on_start = ends()
    result = shell.run(*JOB, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert b"pifopfs.cli.terminal" in result.stderr
    assert b"rich" not in result.stderr


def test_a_terminal_shows_bars_for_large_transfers_only(shell: Shell, service: FakeService) -> None:
    service.on_start = lambda execution: execution.end(result=execution.inputs["coords"])
    assert b"coords" not in on_a_terminal(shell, *JOB)
    shell.write("cities", bytes(30_000_000))
    seen = on_a_terminal(shell, *JOB)
    assert b"upload coords" in seen
    assert b"download result" in seen
    assert (shell.root / "tour").stat().st_size == 30_000_000


def on_a_terminal(shell: Shell, *args: str) -> bytes:
    """What a terminal on stderr gets."""
    ours, theirs = os.openpty()
    process = shell.start(shell.command(*args), stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 65536):
            seen += piece
    except OSError:  # that is how the end of a terminal shows
        pass
    os.close(ours)
    assert process.wait(30) == 0, seen
    return seen


# ── Regressions ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("way", ["/dev/stdout", "/proc/self/fd/1", ">(cat >&3)"])
def test_regression_an_output_to_an_open_pipe_by_its_name_was_lost(
    shell: Shell, service: FakeService, way: str
) -> None:
    service.on_start = ends()
    line = " ".join(shell.command("-q", "joe/tsp", "-i", "coords=cities"))
    script = f"exec 3>&1; {line} -o result={way} | cat; wait"
    result = subprocess.run(
        ["bash", "-c", script], cwd=shell.root, env=shell.env, capture_output=True, timeout=30
    )
    assert result.stderr == b""
    until(lambda: result.stdout == b"tour of x,y\n1,2\n", 5)


def test_regression_an_output_got_the_rights_of_the_owner_of_what_it_replaced(
    shell: Shell, service: FakeService
) -> None:
    service.on_start = ends()
    tour = shell.write("tour", b"#!/bin/sh\n")
    tour.chmod(0o6755)
    shell.good(*JOB)
    assert stat.S_IMODE(tour.stat().st_mode) == 0o755


def test_regression_names_of_the_service_reached_the_terminal_as_they_are(
    shell: Shell, service: FakeService
) -> None:
    service.inputs = ["\x1b]0;owned\x07\x1b[2Jx"]
    result = shell.run("joe/tsp", "-i", "coords=cities")
    assert result.returncode == 2
    assert b"\\x1b]0;owned\\x07" in result.stderr
    assert b"\x1b" not in result.stderr
