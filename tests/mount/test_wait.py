"""wait: blocks until the end, never for ever, never unkillably."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, refuse, until
from tests.mount.harness import Mount


@pytest.fixture
def running(job: Mount, service: FakeService) -> Mount:
    """An execution that runs."""
    job.sh("echo 1 > executions/j/start")
    return job


def blocked(mount: Mount, service: FakeService, *command: str) -> subprocess.Popen[str]:
    """A process that waits; returns once its waiting makes requests."""
    before = service.count("status")
    process = mount.spawn(*(command or ("cat", "executions/j/wait")))
    until(lambda: service.count("status") >= before + 2)
    assert process.poll() is None
    return process


# > A read blocks until the execution has ended, then gives the end reason.
def test_wait_gives_the_end_reason_when_it_has_ended(running: Mount, service: FakeService) -> None:
    process = blocked(running, service)
    service.only().end("out-of-memory")
    assert process.communicate(timeout=20)[0] == "out-of-memory\n"
    assert running.out("cat executions/j/wait") == "out-of-memory\n"


# > Pending: EINVAL at once.
def test_wait_for_a_pending_execution_is_refused(job: Mount) -> None:
    assert "Invalid argument" in job.sh("cat executions/j/wait", check=False).stderr


# > It is reachable by name and not listed, so that `grep -r`, `tar` and backups don't hang on
# > it.
def test_wait_is_not_listed_so_that_searches_do_not_hang(running: Mount) -> None:
    running.sh("grep -r x executions || true; tar cf /dev/null executions || true", timeout=10)


# > A blocked call ends within two seconds of a signal,
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_blocked_reader_dies_of_a_signal(
    running: Mount, service: FakeService, number: signal.Signals
) -> None:
    process = blocked(running, service)
    process.send_signal(number)
    assert process.wait(10) == -number


def test_a_handled_signal_reaches_a_blocked_python(running: Mount, service: FakeService) -> None:
    process = blocked(
        running, service, "python3", "-c",
        "try: open('executions/j/wait').read()\nexcept KeyboardInterrupt: print('interrupted')",
    )  # fmt: skip
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10)[0] == "interrupted\n"


def test_a_child_that_reads_what_its_shell_opened_dies_of_a_signal(
    running: Mount, service: FakeService
) -> None:
    process = blocked(running, service, "bash", "-c", "exec 3<executions/j/wait; cat <&3; echo on")
    (child,) = until(
        lambda: subprocess.run(
            ["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False
        ).stdout.split()
    )
    os.kill(int(child), signal.SIGTERM)
    assert process.communicate(timeout=10)[0] == "on\n"


# > Terminated meanwhile: ENOENT.
#
# > `wait` gives ENOENT.
def test_termination_wakes_the_waiters(running: Mount, service: FakeService) -> None:
    process = blocked(running, service)
    running.sh("rmdir executions/j")
    _, stderr = process.communicate(timeout=10)
    assert "No such file" in stderr


# > An outage is ridden out
def test_an_outage_is_ridden_out(running: Mount, service: FakeService) -> None:
    process = blocked(running, service)
    service.down()
    time.sleep(1)
    assert process.poll() is None
    service.up()
    service.only().end()
    assert process.communicate(timeout=20)[0] == "normal\n"


# > An outage is ridden out for five minutes (`--wait-outage`, else `PIFOPFS_WAIT_OUTAGE`, in
# > seconds), then it is the service's error.
def test_an_outage_that_is_too_long_is_an_error(service: FakeService) -> None:
    args = ("joe/tsp", "--endpoint", service.endpoint)
    with Mount(service.socket.parent, *args, env={"PIFOPFS_WAIT_OUTAGE": "0.5"}) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        process = blocked(mount, service)
        service.down()
        assert process.wait(20) == 1
        assert "wait: " in mount.out("cat executions/j/error")


def test_an_error_that_is_no_outage_ends_the_wait(running: Mount, service: FakeService) -> None:
    process = blocked(running, service)
    service.fault("status", refuse(401))
    assert "Permission denied" in process.communicate(timeout=20)[1]


# > `poll` and `epoll` work.
def test_poll_and_epoll_become_ready_at_the_end(running: Mount, service: FakeService) -> None:
    process = blocked(
        running, service, "python3", "-c",
        "import select\n"
        "f = open('executions/j/wait')\n"
        "e = select.epoll(); e.register(f, select.EPOLLIN)\n"
        "print(e.poll(0.3)); print(bool(e.poll(20)), select.select([f], [], [], 20)[0] == [f])\n"
        "print(f.read(), end='')",
    )  # fmt: skip
    time.sleep(0.4)
    service.only().end()
    assert process.communicate(timeout=30)[0] == "[]\nTrue True\nnormal\n"


# > Any number of blocked readers leaves the mount responsive.
#
# > One poll serves any number of waiters:
def test_a_hundred_and_fifty_waiters_share_requests_and_leave_the_mount_responsive(
    running: Mount, service: FakeService
) -> None:
    processes = [running.spawn("cat", "executions/j/wait") for _ in range(150)]
    try:
        until(lambda: all_waiting(processes))
        before, began = service.count("status"), time.monotonic()
        running.sh("mkdir executions/k; ls -l executions/j; cat executions/k/id", timeout=10)
        time.sleep(1)
        elapsed = time.monotonic() - began
        assert service.count("status") - before <= 2 + elapsed / 0.05
        next(iter(service.executions.values())).end()
        for process in processes:
            assert process.communicate(timeout=30)[0] == "normal\n"
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


def all_waiting(processes: list[subprocess.Popen[str]]) -> bool:
    """Whether all sleep in the kernel for an answer of the filesystem."""
    for process in processes:
        with Path(f"/proc/{process.pid}/wchan").open() as file:
            if "request_wait_answer" not in file.read():
                return False
    return True


# > `umount --force` cancels and detaches,
def test_waiters_do_not_hold_up_the_unmount_by_force(running: Mount, service: FakeService) -> None:
    process = blocked(running, service)
    busy = running.pifopfs("umount", str(running.path))
    assert busy.returncode == 7
    assert f"cat ({process.pid})" in busy.stderr
    running.umount("--force")
    process.wait(10)
    assert not running.mounted()


# > SIGTERM ends the daemon within ten seconds of what it has to finish.
def test_sigterm_ends_the_daemon_under_blocked_readers(
    running: Mount, service: FakeService
) -> None:
    process = blocked(running, service)
    os.kill(running.pid, signal.SIGTERM)
    process.wait(20)
    until(lambda: not running.mounted())
