"""`pifopfs wait` and `pifopfs logs`, through a mount and at the service."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.fakeservice import FakeExecution, FakeService, hang, until
from tests.mount.harness import PIFOPFS, Mount


@pytest.fixture
def running(job: Mount, service: FakeService) -> Mount:
    """A mount with an execution `j` that runs."""
    job.sh("echo 1 > executions/j/start")
    return job


@pytest.fixture
def background(mount: Mount) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `pifopfs ARGS` with the root as its folder."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*PIFOPFS, *args],
            env=mount.env,
            cwd=mount.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


J = "mnt/executions/j"


def test_wait_returns_at_the_end_and_prints_the_reason(
    running: Mount, service: FakeService, background: Callable[..., subprocess.Popen[str]]
) -> None:
    waiter = background("wait", J)
    until(lambda: service.count("status") > 0)
    with pytest.raises(subprocess.TimeoutExpired):
        waiter.wait(0.5)
    service.only().end()
    assert waiter.communicate(timeout=10)[0] == "normal\n"
    assert waiter.returncode == 0
    assert running.pifopfs("wait", J).stdout == "normal\n"


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda each: (each.extra.update(exit_code=2), each.end()), 10),
        (lambda each: (each.extra.update(stopped=True), each.end()), 13),
    ],
)
def test_the_exit_code_of_wait_is_that_of_run(
    running: Mount, service: FakeService, end: Callable[[FakeExecution], None], code: int
) -> None:
    end(service.only())
    id_ = service.only().id
    assert running.pifopfs("wait", J).returncode == code
    at_service = ("--endpoint", service.endpoint)
    result = running.pifopfs("wait", "joe/tsp", id_, "--json", *at_service)
    assert result.returncode == code
    (found,) = json.loads(result.stdout)
    assert found["id"] == found["execution"] == id_
    assert len(result.stderr.splitlines()) == 1


def test_several_are_waited_for_and_the_first_that_did_not_go_well_decides(
    running: Mount, service: FakeService, background: Callable[..., subprocess.Popen[str]]
) -> None:
    running.sh("mkdir executions/k executions/l; echo 1 > executions/k/start")
    k = service.executions[running.out("cat executions/k/id").strip()]
    j = service.executions[running.out("cat executions/j/id").strip()]
    K, L = "mnt/executions/k", "mnt/executions/l"
    waiter = background("wait", J, K, L, "mnt/executions/nobody")
    k.end("timeout")
    assert waiter.stdout is not None
    assert waiter.stdout.readline() == f"timeout\t{K}\n"
    j.end()
    out, words = waiter.communicate(timeout=10)
    assert out == f"normal\t{J}\n"
    assert waiter.returncode == 12
    assert words.count("\n") == 3
    assert f"{L} has not been started" in words
    assert running.pifopfs("wait", L, K).returncode == 19
    assert running.pifopfs("wait", J, "mnt/executions/nobody").returncode == 16


def test_patience_has_an_end(running: Mount, service: FakeService) -> None:
    result = running.pifopfs("wait", J, "--timeout", "0.3")
    assert (result.returncode, result.stdout) == (18, "")
    at_service = ("--endpoint", service.endpoint, "--timeout", "0.3")
    result = running.pifopfs("wait", "joe/tsp", service.only().id, *at_service)
    assert (result.returncode, result.stdout) == (18, "")


def test_wait_hears_of_an_execution_that_is_terminated(
    running: Mount, service: FakeService, background: Callable[..., subprocess.Popen[str]]
) -> None:
    waiter = background("wait", J)
    until(lambda: service.count("status") > 0)
    running.sh("rmdir executions/j")
    assert waiter.wait(10) == 16


def test_ctrl_c_ends_a_wait_without_a_word(
    running: Mount, service: FakeService, background: Callable[..., subprocess.Popen[str]]
) -> None:
    waiter = background("wait", J)
    until(lambda: service.count("status") > 1)
    waiter.send_signal(signal.SIGINT)
    assert waiter.communicate(timeout=10) == ("", "")
    assert waiter.returncode == -signal.SIGINT


def test_what_names_no_execution(mount: Mount) -> None:
    for args in [("mnt",), ("joe/tsp", "j")]:
        result = mount.pifopfs("wait", *args)
        assert result.returncode == 2, args
        assert "MOUNTPOINT/executions/NAME" in result.stderr
    mount.kill()
    result = mount.pifopfs("logs", J)
    assert result.returncode == 6
    assert "dead" in result.stderr


# ── logs ──────────────────────────────────────────────────────────────────────────────────────


def test_logs_prints_what_there_is_byte_by_byte(running: Mount, service: FakeService) -> None:
    service.only().log = "erst é \x1b[1m\n".encode()
    assert running.pifopfs("logs", J).stdout == "erst é \x1b[1m\n"
    args = ("joe/tsp", service.only().id, "--endpoint", service.endpoint)
    assert running.pifopfs("logs", *args).stdout == "erst é \x1b[1m\n"


@pytest.mark.parametrize("through", ["mount", "service"])
def test_logs_follows_until_the_end(
    job: Mount,
    service: FakeService,
    background: Callable[..., subprocess.Popen[str]],
    through: str,
) -> None:
    at_service = ("joe/tsp", service.only().id, "--endpoint", service.endpoint)
    service.only().log = b"before\n"
    reader = background("logs", "-f", *(at_service if through == "service" else (J,)))
    assert reader.stdout is not None
    assert reader.stdout.readline() == "before\n"
    job.sh("echo 1 > executions/j/start")
    service.only().log += b"while it runs\n"
    assert reader.stdout.readline() == "while it runs\n"
    service.only().log += b"last"
    service.only().end("timeout")
    assert reader.communicate(timeout=10)[0] == "last"
    assert reader.returncode == 0


def test_who_reads_a_log_may_have_enough(running: Mount, service: FakeService) -> None:
    service.only().log = b"line\n" * 100_000
    for args in (J, f"joe/tsp {service.only().id} --endpoint {service.endpoint}"):
        script = f"{' '.join(PIFOPFS)} logs -f {args} | head -1; echo ${{PIPESTATUS[0]}}"
        result = subprocess.run(
            ["bash", "-c", script], env=running.env, cwd=running.root, capture_output=True
        )
        assert (result.stdout, result.stderr) == (b"line\n141\n", b"")


def test_logs_of_what_is_not_there(mount: Mount, service: FakeService) -> None:
    assert mount.pifopfs("logs", "mnt/executions/nobody").returncode == 16
    args = ("joe/tsp", "exec_nobody", "--endpoint", service.endpoint)
    assert mount.pifopfs("logs", *args).returncode == 16


def test_regression_a_timeout_of_months_was_too_much(running: Mount, service: FakeService) -> None:
    service.only().end()
    running.sh("cat executions/j/wait")
    result = running.pifopfs("wait", J, "--timeout", "3000000000")
    assert (result.returncode, result.stdout) == (0, "normal\n")


def test_regression_a_service_that_hangs_held_up_a_wait_with_a_timeout(
    running: Mount, service: FakeService
) -> None:
    release = threading.Event()
    service.fault("status", hang(release))
    began = time.monotonic()
    at_service = ("--endpoint", service.endpoint, "--timeout", "0.3")
    assert running.pifopfs("wait", "joe/tsp", service.only().id, *at_service).returncode == 18
    assert running.pifopfs("wait", J, "--timeout", "0.3").returncode in (5, 18)
    assert time.monotonic() - began < 20
    release.set()


def test_regression_a_wait_whose_output_nobody_reads_ended_with_1(
    running: Mount, service: FakeService
) -> None:
    service.only().end()
    running.sh("cat executions/j/wait")
    for more in ("", "--json"):
        script = f"{{ {' '.join(PIFOPFS)} wait {J} {more}; echo $? >&2; }} | true"
        result = subprocess.run(
            ["bash", "-c", f"trap '' PIPE; {script}"],
            env=running.env, cwd=running.root, capture_output=True, timeout=20,
        )  # fmt: skip
        assert result.stderr == b"141\n"
