"""Signals to `pifopfs run`: the execution is stopped and terminated, in bounded time."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, delayed, hang, until
from tests.run.harness import Shell

JOB = ("joe/tsp", "-i", "coords=cities", "-o", "result=tour")


def started(shell: Shell, service: FakeService, *args: str) -> subprocess.Popen[bytes]:
    """A job that runs."""
    process = shell.spawn(*JOB, *args)
    until(lambda: service.count("start") == 1)
    until(lambda: service.count("status") + service.count("log") > 0)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_and_terminates_and_is_what_the_job_ends_by(
    shell: Shell, service: FakeService, number: signal.Signals
) -> None:
    shell.write("tour", b"old")
    process = started(shell, service)
    process.send_signal(number)
    assert process.wait(10) == -number
    assert service.executions == {}
    assert service.count("stop") == 1
    assert (shell.root / "tour").read_bytes() == b"old"


def test_a_shell_shows_143_and_what_is_to_be_ignored_is_ignored(
    shell: Shell, service: FakeService
) -> None:
    command = " ".join(shell.command(*JOB))
    process = shell.start(["bash", "-c", f"{command} & echo $!; wait $!; echo $?"])
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    until(lambda: service.count("start") == 1)
    os.kill(pid, signal.SIGINT)  # which a script's shell has what it starts with & ignore
    os.kill(pid, signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert out == b"143\n"
    assert service.executions == {}


def test_an_execution_that_is_being_created_is_terminated_too(
    shell: Shell, service: FakeService
) -> None:
    release = threading.Event()
    service.fault("create", delayed(release))
    process = shell.spawn(*JOB)
    until(lambda: service.count("create") == 1)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    release.set()
    assert process.wait(10) == -signal.SIGINT
    assert service.count("terminate") == 1
    assert service.executions == {}


def test_a_job_that_waits_for_its_standard_input_ends_at_once(
    shell: Shell, service: FakeService
) -> None:
    process = shell.start(shell.command("joe/tsp", "-i", "coords=-"), stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"x")
    process.stdin.flush()
    until(lambda: signal.SIGTERM in caught(process.pid))  # Python itself takes SIGINT before
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    assert service.requests == []


def test_a_second_signal_ends_it_at_once(shell: Shell, service: FakeService) -> None:
    release = threading.Event()
    service.fault("stop", hang(release))
    service.fault("terminate", hang(release))
    process = started(shell, service)
    process.send_signal(signal.SIGINT)
    until(lambda: service.count("stop") == 1)
    began = time.monotonic()
    until(lambda: ended_by(process, signal.SIGINT), 10)
    _, words = process.communicate(timeout=10)
    assert time.monotonic() - began < 4
    assert process.returncode == -signal.SIGINT
    assert b"may be left at the service" in words
    release.set()


def ended_by(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Send it a signal, once more. Whether it has ended."""
    if process.poll() is None:
        process.send_signal(number)
    return process.returncode is not None


def test_regression_a_signal_that_came_twice_at_once_left_the_execution(
    shell: Shell, service: FakeService
) -> None:
    """As under make: its group gets it, and make passes it on."""
    process = started(shell, service)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    until(lambda: service.count("stop") == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    assert service.executions == {}


def test_a_service_that_does_not_answer_delays_the_end_for_a_bounded_time(
    shell: Shell, service: FakeService
) -> None:
    release = threading.Event()
    process = started(shell, service)
    service.fault("stop", hang(release))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    assert service.count("terminate") == 1
    release.set()


def test_a_kept_execution_is_stopped_and_stays(shell: Shell, service: FakeService) -> None:
    process = started(shell, service, "--keep")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert out.decode() == f"{service.only().id}\n"
    assert service.only().status == "ended"


def caught(pid: int) -> set[int]:
    """The signals that a process has asked to get."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
