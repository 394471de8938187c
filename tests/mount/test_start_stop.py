"""start and stop: control files that act once and tell the truth."""

from __future__ import annotations

import signal
import threading

import pytest

from tests.fakeservice import FakeService, delayed, hang, refuse, reset, until
from tests.mount.harness import Mount

WAYS = {
    "echo": "echo 1 > start",
    "two lines": "printf '1\\n2\\n' > start",
    "append": "echo 1 >> start",
    "truncate only": ": > start",
    "touch": "touch start",
    "cp /dev/null": "cp /dev/null start",
    "python": "python3 -c \"open('start', 'w').write('1')\"",
    "tee": "echo 1 | tee start > /dev/null",
}


# > Any write acts, once for each open: `echo 1 > start`. So do a truncating open (`: > start`,
# > `cp /dev/null start`) and `touch start`.
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_start_starts_once(job: Mount, service: FakeService, way: str) -> None:
    job.sh(f"cd executions/j; {WAYS[way]}")
    assert service.count("start") == 1
    assert service.only().status == "running"


# > Copied times (`cp -p`, `touch -d`) have no effect.
def test_times_that_are_copied_do_not_start(job: Mount, service: FakeService) -> None:
    job.sh("touch -d 2001-01-01 executions/j/start; chmod 600 executions/j/start", check=False)
    assert service.count("start") == 0


# > Reading is EACCES, for root too.
def test_start_and_stop_cannot_be_read_even_by_root(job: Mount) -> None:
    for name in ["start", "stop"]:
        result = job.sh(f"cat executions/j/{name}", check=False)
        assert "Permission denied" in result.stderr


# > Preconditions are checked at open already, because some shells show no other error.
#
# > or the execution has ended
#
# > EALREADY | it is running
@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_refusal_shows_in_the_shell(job: Mount, service: FakeService, shell: str) -> None:
    start = "echo 1 > executions/j/start"
    job.sh(start, shell=shell)
    assert "already in progress" in job.sh(start, shell=shell, check=False).stderr
    service.only().end()
    until(lambda: job.out("cat executions/j/status") == "ended\n")
    assert "Invalid argument" in job.sh(start, shell=shell, check=False).stderr
    assert "Create a new one" in job.out("cat executions/j/error")
    assert service.count("start") == 1


# > later writes through the same descriptor repeat the answer.
def test_a_handle_repeats_its_error_and_acts_once(job: Mount, service: FakeService) -> None:
    service.fault("start", refuse(403))
    out = job.python(
        "import os\n"
        "fd = os.open('executions/j/start', os.O_WRONLY)\n"
        "for _ in range(3):\n"
        "    try: os.write(fd, b'1')\n"
        "    except OSError as e: print(e.strerror)"
    )
    assert out == "Permission denied\n" * 3
    assert service.count("start") == 1


# > Creating and starting are never retried blindly: after an unclear start the status is asked.
def test_an_unclear_start_asks_for_the_status(job: Mount, service: FakeService) -> None:
    def started_but_cut(handler: object) -> None:
        service.only().status = "running"
        reset(handler)  # type: ignore[arg-type]

    service.fault("start", started_but_cut, times=1)
    job.sh("echo 1 > executions/j/start")
    assert service.count("start") == 1


def test_an_interrupted_start_is_not_sent_twice(job: Mount, service: FakeService) -> None:
    release = threading.Event()
    service.fault("start", delayed(release))
    process = job.spawn("sh", "-c", "echo 1 > executions/j/start")
    until(lambda: service.count("start"))
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    release.set()
    until(lambda: service.only().status == "running")
    service.heal()
    job.sh("echo 1 > executions/j/start")
    assert service.count("start") == 1


def test_no_answer_to_start_ends_in_bounded_time(job: Mount, service: FakeService) -> None:
    release = threading.Event()
    service.fault("start", hang(release))
    service.fault("status", hang(release))
    result = job.sh("echo 1 > executions/j/start", check=False, timeout=40)
    assert result.returncode != 0
    release.set()


def test_start_waits_for_an_upload_under_way(job: Mount, service: FakeService) -> None:
    release = threading.Event()
    service.fault("upload", delayed(release))
    job.sh("cd executions/j/input; cp /etc/hostname a.tmp; mv a.tmp coords")
    process = job.spawn("sh", "-c", "echo 1 > executions/j/start")
    until(lambda: service.count("upload"))
    assert service.count("start") == 0
    release.set()
    assert process.wait(10) == 0
    assert list(service.only().inputs) == ["coords"]
    assert service.count("upload") == 1


# > `stop` of a pending execution is EINVAL, of an ended one success.
def test_stop_ends_a_running_execution_and_succeeds_when_it_has_ended(
    job: Mount, service: FakeService
) -> None:
    assert "Invalid argument" in job.sh("echo 1 > executions/j/stop", check=False).stderr
    job.sh("echo 1 > executions/j/start; echo 1 > executions/j/stop")
    assert job.out("cat executions/j/status executions/j/end_reason") == "ended\nnormal\n"
    job.sh("echo 1 > executions/j/stop; touch executions/j/stop")
    assert service.count("stop") == 1


# > EDQUOT | too many executions of this key are running
#
# > `error` holds the last failure of this execution in words: what was tried, what the service
# > answered, what to do. It is empty once the same thing has succeeded.
def test_too_many_running_executions(job: Mount, service: FakeService) -> None:
    service.fault("start", refuse(429, "2 executions of this key are running"))
    result = job.sh("echo 1 > executions/j/start", check=False)
    assert "Disk quota exceeded" in result.stderr
    assert "2 executions of this key" in job.out("cat executions/j/error")
    service.heal()
    job.sh("echo 1 > executions/j/start")
    assert job.out("cat executions/j/error") == ""


def test_an_execution_started_elsewhere(job: Mount, service: FakeService) -> None:
    service.only().status = "running"
    assert "already in progress" in job.sh("echo 1 > executions/j/start", check=False).stderr


def test_regression_a_fresh_file_copied_with_its_times_started_twice(
    job: Mount, service: FakeService
) -> None:
    """cp -p said that the execution was running already: its times counted as a touch."""
    job.sh("echo 1 > $M/../one; cp -p $M/../one executions/j/start")
    assert service.count("start") == 1
    assert "already in progress" in job.sh("touch executions/j/start", check=False).stderr
