"""Whatever breaks: an errno in bounded time, the rest of the mount alive, and recovery."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from pifopfs.machine import start_time
from tests.fakeservice import FakeService, Fault, garbage, hang, refuse, reset, until
from tests.mount.harness import Mount

NEVER = threading.Event()

FAULTS: dict[str, Fault] = {
    "401": refuse(401),
    "429": refuse(429),
    "500": refuse(500),
    "503": refuse(503),
    "garbage": garbage,
    "hang": hang(NEVER, 30),
    "reset": reset,
}

OPERATIONS = {
    "create": "mkdir executions/k",
    "upload": "cp /etc/hostname executions/j/input/coords",
    "start": "echo 1 > executions/j/start",
    "status": "cat executions/j/status",
    "log": "cat executions/j/log",
    "terminate": "rmdir executions/j",
}


# > **Nothing hangs.** Every request has a deadline,
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_fails_in_bounded_time_and_recovers(
    job: Mount, service: FakeService, operation: str, fault: str
) -> None:
    service.fault(operation, FAULTS[fault])
    until(lambda: job.sh(OPERATIONS[operation], check=False, timeout=60).returncode != 0)
    began = time.monotonic()
    job.sh("ls -l executions executions/j executions/j/input > /dev/null; cat executions/j/id")
    assert time.monotonic() - began < 5
    service.heal()
    until(lambda: job.sh(OPERATIONS[operation], check=False, timeout=60).returncode == 0)


# > A service that is down gives errors in bounded time while everything local stays fast.
def test_a_service_that_is_down_leaves_everything_local_fast(
    job: Mount, service: FakeService
) -> None:
    job.sh("echo 1 > executions/j/input/coords")
    service.down()
    began = time.monotonic()
    job.sh(
        "ls -lR executions; cat executions/j/input/coords executions/j/id;"
        " echo 2 > executions/j/input/x"
    )
    result = job.sh("mkdir executions/k", check=False)
    assert "refused" in result.stderr or "No route to host" in result.stderr
    assert time.monotonic() - began < 10
    until(lambda: job.sh("cat executions/j/status", check=False).returncode != 0)
    service.up()
    assert job.out("cat executions/j/status") == "pending\n"


BUGGY = """
import sys
from pifopfs.tree import files
from pifopfs.cli import main

async def broken(self, flags):
    raise ZeroDivisionError("a bug")

files.StopFile.open = broken
files.ValueFile.attributes, keep = None, files.ValueFile.attributes
files.ValueFile.attributes = lambda self: 1 / 0 if self.name == "exit_code" else keep(self)
sys.argv[0] = "pifopfs"
main()
"""


def test_a_bug_in_a_handler_is_EIO_with_a_traceback_and_leaves_the_mount_alive(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = Mount(service.socket.parent, "joe/tsp", "--endpoint", service.endpoint)
    script = mount.root / "buggy.py"
    script.write_text(BUGGY)
    monkeypatch.setattr("tests.mount.harness.PIFOPFS", [sys.executable, str(script)])
    with mount:
        mount.expected.append("pifopfs.fuse.errnos: bug in")
        mount.sh("mkdir executions/j")
        for command in ["echo 1 > executions/j/stop", "stat executions/j/exit_code"]:
            assert "Input/output error" in mount.sh(command, check=False).stderr
        assert mount.sh("ls executions/j", check=False).returncode != 2**8
        assert mount.out("cat executions/j/status") == "pending\n"
        assert "ZeroDivisionError" in mount.log


# > the local disk is full | the write fails | ENOSPC
#
# > the writer is killed, a write fails and is not made good,
@pytest.mark.skipif(os.getuid() != 0, reason="a small disk is mounted as root")
def test_a_full_disk_is_ENOSPC_and_nothing_is_run_on_what_was_written(
    service: FakeService,
) -> None:
    root = service.socket.parent
    state = root / "small"
    state.mkdir()
    os.system(f"mount -t tmpfs -o size=2m tmpfs {state}")
    try:
        args = ("joe/tsp", "--endpoint", service.endpoint, "--state-dir", str(state))
        with Mount(root, *args) as mount:
            mount.sh("mkdir executions/j")
            result = mount.sh("head -c 5000000 /dev/zero > executions/j/input/coords", check=False)
            assert "No space left" in result.stderr
            mount.sh("cat executions/j/status executions/j/error")
            assert "Invalid" in mount.sh("echo 1 > executions/j/start", check=False).stderr
            assert service.count("upload") == 0
            mount.sh("echo small > executions/j/input/coords; echo 1 > executions/j/start")
            assert service.only().inputs == {"coords": b"small\n"}
    finally:
        os.system(f"umount -l {state}")


# > SIGTERM waits `PIFOPFS_SHUTDOWN_GRACE` (10 s) for open uploads;
def test_sigterm_lets_an_upload_finish(job: Mount, service: FakeService) -> None:
    release = threading.Event()

    def slow(handler: object) -> None:
        release.wait(20)
        service.requests.pop()
        service.heal()
        handler._route()  # type: ignore[attr-defined]

    service.fault("upload", slow)
    copying = job.spawn("cp", "/etc/hostname", "executions/j/input/coords")
    until(lambda: service.count("upload"))
    pid = job.pid
    os.kill(pid, signal.SIGTERM)
    release.set()
    assert copying.wait(20) == 0
    until(lambda: start_time(pid) is None)
    assert list(service.only().inputs) == ["coords"]
