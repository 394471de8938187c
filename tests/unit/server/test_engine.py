"""Programs and what is left of them when their server has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from pifopfs.machine import start_time
from pifopfs.server.engines import Launch
from pifopfs.server.engines.local import LocalEngine
from pifopfs.server.engines.processes import Trace, kill_session, look
from tests.fakeservice import until


def launch_of(folder: Path, *command: str) -> Launch:
    return Launch(command, folder, folder)


async def test_a_program_waits_to_be_released_and_reads_nothing(tmp_path: Path) -> None:
    said: list[bytes] = []
    engine = LocalEngine(1, 123)
    job = await engine.launch(
        launch_of(tmp_path, "sh", "-c", "ulimit -Sn; cat; echo $#,$1", "x", "a b"), said.append
    )
    assert look(Trace.parse(job.trace).pid) is not None
    job.release()
    with trio.fail_after(10):
        assert (await job.wait()).code == 0
    assert b"".join(said) == b"123\n1,a b\n"


async def test_a_program_that_is_killed_before_it_was_released_has_never_run(
    tmp_path: Path,
) -> None:
    job = await LocalEngine(1, 123).launch(launch_of(tmp_path, "touch", "ran"), print)
    with trio.fail_after(10):
        await job.kill()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("program", ["/no/such", "no-such-program", "./no", "./unexecutable"])
async def test_a_program_that_is_not_there_is_not_launched(tmp_path: Path, program: str) -> None:
    (tmp_path / "unexecutable").touch(0o600)
    with pytest.raises(OSError, match=r"No such file|Permission"):
        await LocalEngine(1, 123).launch(launch_of(tmp_path, program), print)


async def test_a_program_in_the_runs_own_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\nexit 5\n")
    (tmp_path / "run").chmod(0o700)
    job = await LocalEngine(1, 123).launch(launch_of(tmp_path, "./run"), print)
    job.release()
    with trio.fail_after(10):
        assert (await job.wait()).code == 5


SERVER = """
import os, sys, trio
from pathlib import Path
from pifopfs.server.engines import Launch
from pifopfs.server.engines.local import LocalEngine
async def main():
    folder = Path(sys.argv[1])
    job = await LocalEngine(1, 100).launch(Launch(("touch", "ran"), folder, folder), print)
    print(job.trace, flush=True)
    os.kill(os.getpid(), 9)
trio.run(main)
"""


def test_regression_a_program_whose_trace_was_not_stored_dies_with_its_server(
    tmp_path: Path,
) -> None:
    """A server killed right after a launch left a program that nobody knew."""
    result = subprocess.run(
        [sys.executable, "-c", SERVER, tmp_path], capture_output=True, text=True, timeout=20
    )
    assert result.returncode == -signal.SIGKILL
    pid = Trace.parse(result.stdout.strip()).pid
    until(lambda: start_time(pid) is None)
    assert not (tmp_path / "ran").exists()


# ── Traces ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def session(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Trace, int]]:
    """A session of a shell, its trace, and another process in it, in a group of its own."""
    script = f"set -m; sleep 600 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; cat"
    process = subprocess.Popen(
        ["bash", "-c", script], start_new_session=True, stdin=subprocess.PIPE
    )
    until((tmp_path / "pid").exists)
    child = int((tmp_path / "pid").read_text())
    yield process, Trace.of(process.pid), child
    for pid in (child, process.pid):
        if (found := look(pid)) and found.session == process.pid:
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=10)


Session = tuple[subprocess.Popen[bytes], Trace, int]


def test_a_session_is_killed_with_all_its_groups(session: Session) -> None:
    process, trace, child = session
    kill_session(trace)
    process.wait(10)
    until(lambda: start_time(child) is None)


def test_regression_a_session_is_killed_when_its_leader_has_died(session: Session) -> None:
    """What a program had started outlived the next server."""
    process, trace, child = session
    process.kill()
    process.wait(10)
    assert start_time(child) is not None
    kill_session(trace)
    until(lambda: start_time(child) is None)


def test_regression_a_trace_from_before_a_reboot_fits_no_process(session: Session) -> None:
    _, trace, child = session
    kill_session(Trace("another-boot", trace.pid, trace.started))
    kill_session(Trace(trace.boot, trace.pid, trace.started + 1))
    assert start_time(child) is not None
    assert Trace.parse(str(trace)) == trace


def test_a_name_of_any_bytes(tmp_path: Path) -> None:
    program = tmp_path / os.fsdecode(b"\xff) R 1")
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "600"])
    try:
        found = look(process.pid)
        assert found is not None
        assert found.session == os.getsid(0)
    finally:
        process.kill()
        process.wait(10)
