"""Values, status.json and log: live, fresh, and quiet while nobody looks."""

from __future__ import annotations

import json
import os
import select
import time

from tests.fakeservice import FakeService, refuse, until
from tests.mount.harness import Mount


def start(mount: Mount, service: FakeService) -> None:
    mount.sh("echo 1 > executions/j/start")


# > An execution is `pending`, then `running`, then `ended`.
#
# > `id`, `status`, `end_reason` and `exit_code` hold one value and a newline, or nothing where
# > the service does not tell.
def test_values_follow_the_execution(job: Mount, service: FakeService) -> None:
    assert job.out("cat executions/j/status executions/j/end_reason executions/j/exit_code") == (
        "pending\n"
    )
    start(job, service)
    assert job.out("cat executions/j/status") == "running\n"
    service.only().extra["exit_code"] = 3
    service.only().end("timeout")
    until(lambda: job.out("cat executions/j/status") == "ended\n")
    assert job.out("cat executions/j/end_reason executions/j/exit_code") == "timeout\n3\n"


def test_unknown_end_reasons_and_fields_pass_through(job: Mount, service: FakeService) -> None:
    start(job, service)
    service.only().extra["weather"] = 7
    service.only().end("bad-weather")
    until(lambda: job.out("cat executions/j/end_reason") == "bad-weather\n")
    assert json.loads(job.out("cat executions/j/status.json"))["weather"] == 7


# > `status.json` is the Execution object without its log.
def test_status_json_is_a_whole_document_of_the_size_shown(
    job: Mount, service: FakeService
) -> None:
    document = json.loads(job.out("cat executions/j/status.json"))
    assert document["id"] == service.only().id
    assert "log" not in document
    copied = job.out("cp executions/j/status.json /tmp/$$; cat /tmp/$$; rm /tmp/$$")
    assert json.loads(copied) == document


def test_many_readers_of_a_status_make_one_request(job: Mount, service: FakeService) -> None:
    start(job, service)
    time.sleep(0.3)  # older than the freshness of these tests
    before = service.count("status")
    job.sh("for i in $(seq 20); do cat executions/j/status > /dev/null & done; wait")
    assert service.count("status") - before <= 3


# > and asked only while somebody looks.
def test_nothing_is_asked_while_nobody_looks(job: Mount, service: FakeService) -> None:
    start(job, service)
    job.sh("cat executions/j/log executions/j/status > /dev/null")
    before = len(service.requests)
    time.sleep(1)
    assert len(service.requests) == before


# > A status that can't be had fresh is an error of `open`,
def test_an_answer_that_fails_is_an_error_and_passes(job: Mount, service: FakeService) -> None:
    start(job, service)
    service.fault("status", refuse(403))
    until(lambda: "Permission denied" in job.sh("cat executions/j/status", check=False).stderr)
    assert "told to" in job.out("cat executions/j/error")
    service.heal()
    assert job.out("cat executions/j/status") == "running\n"
    assert job.out("cat executions/j/error") == ""


# > An execution that the service no longer knows is `gone`: it stays listed, its inputs and
# > cached outputs stay readable, `rmdir` forgets it.
#
# > ENOENT | the service no longer knows the execution
def test_an_execution_that_the_service_forgot_is_gone_but_stays(
    job: Mount, service: FakeService
) -> None:
    job.sh("echo 1 > executions/j/input/coords")
    service.executions.clear()
    until(lambda: job.out("cat executions/j/status") == "gone\n")
    assert json.loads(job.out("cat executions/j/status.json"))["status"] == "gone"
    assert job.out("cat executions/j/input/coords; ls executions") == "1\nj\n"
    assert "No such file" in job.sh("echo 1 > executions/j/start", check=False).stderr
    job.sh("rmdir executions/j")
    assert job.out("ls executions") == ""


# > `log` only grows. An `open` fetches what is new,
def test_the_log_grows_under_cat(job: Mount, service: FakeService) -> None:
    start(job, service)
    service.only().log = b"one\n"
    assert job.out("cat executions/j/log") == "one\n"
    service.only().log += "zwei ü\n".encode()
    until(lambda: job.out("cat executions/j/log") == "one\nzwei ü\n")
    assert job.out("grep -c . executions/j/log; wc -l < executions/j/log") == "2\n2\n"


# > It keeps its inode number, so `tail -F` does not start again.
def test_tail_f_sees_the_log_grow(job: Mount, service: FakeService) -> None:
    start(job, service)
    service.only().log = b"one\n"
    for flag in ["-f", "-F"]:
        tail = job.spawn("tail", flag, "executions/j/log")
        try:
            assert tail.stdout is not None
            seen = os.read(tail.stdout.fileno(), 100)
            assert seen.startswith(b"one\n")
            service.only().log += f"more {flag}\n".encode()
            assert select.select([tail.stdout], [], [], 10)[0], "tail did not see the log grow"
            assert os.read(tail.stdout.fileno(), 100) == f"more {flag}\n".encode()
        finally:
            tail.kill()
            tail.communicate(timeout=10)


# > and a reader at the end sees it grow;
def test_a_reader_that_only_reads_sees_the_log_grow(job: Mount, service: FakeService) -> None:
    start(job, service)
    service.only().log = b"a\n"
    reader = job.spawn(
        "python3", "-u", "-c",
        "import time\n"
        "f = open('executions/j/log', 'rb', buffering=0)\n"
        "end = time.monotonic() + 20\n"
        "seen = b''\n"
        "while b'end' not in seen and time.monotonic() < end:\n"
        "    seen += f.read(100); time.sleep(0.05)\n"
        "print(seen)",
    )  # fmt: skip
    until(lambda: service.count("log"))
    service.only().log += b"b\nend\n"
    assert reader.communicate(timeout=30)[0] == "b'a\\nb\\nend\\n'\n"


# > Once the execution has ended, an open waits for the whole log,
def test_after_the_end_the_log_is_complete_at_once_and_asked_for_no_more(
    job: Mount, service: FakeService
) -> None:
    start(job, service)
    service.only().log = b"one\n"
    job.sh("cat executions/j/log")
    service.only().log += b"last\n"
    service.only().end()
    assert job.out("cat executions/j/wait; cat executions/j/log") == "normal\none\nlast\n"
    before = service.count("log")
    job.sh("cat executions/j/log; sleep 0.3; cat executions/j/log; stat executions/j/log")
    assert service.count("log") == before


# > a `stat` by name never fetches,
def test_a_stat_of_the_log_by_name_fetches_nothing(job: Mount, service: FakeService) -> None:
    start(job, service)
    before = service.count("log")
    job.sh("stat executions/j/log; ls -l executions/j")
    assert service.count("log") == before


def test_a_service_without_offsets_sends_whole_logs(job: Mount, service: FakeService) -> None:
    service.supports_log_offset = False
    start(job, service)
    inode = job.out("stat -c %i executions/j/log")
    for count in (1, 3, 10):
        service.only().log = b"line\n" * count
        until(lambda count=count: job.out("cat executions/j/log") == "line\n" * count)  # type: ignore[misc]
    service.only().log = b"another\n"
    until(lambda: job.out("cat executions/j/log") == "another\n")
    assert job.out("stat -c %i executions/j/log") == inode


# > its end is noticed as ever.
def test_a_long_log_that_comes_whole_is_seldom_fetched_by_tail_f_and_whole_at_the_end(
    job: Mount, service: FakeService
) -> None:
    service.supports_log_offset = False
    start(job, service)
    service.only().log = b"0123456789abcde\n" * 200_000
    tail = job.spawn("tail", "-n", "1", "-s", "0.1", "-f", "executions/j/log")
    try:
        assert tail.stdout is not None
        assert os.read(tail.stdout.fileno(), 100) == b"0123456789abcde\n"
        asked = service.count("status")
        until(lambda: service.count("status") > asked + 4)
        assert service.count("log") == 1
        service.only().log += b"last\n"
        service.only().end()
        assert select.select([tail.stdout], [], [], 10)[0], "tail did not see the end"
        assert os.read(tail.stdout.fileno(), 100) == b"last\n"
    finally:
        tail.kill()
        tail.communicate(timeout=10)


def test_a_log_of_some_megabytes(job: Mount, service: FakeService) -> None:
    start(job, service)
    service.only().log = b"0123456789abcde\n" * 200_000
    job.sh(f"cat executions/j/log > {job.root}/log")
    assert (job.root / "log").read_bytes() == service.only().log


# > What is here of status and log stays readable,
def test_status_and_log_that_are_here_stay_readable_after_rmdir(
    job: Mount, service: FakeService
) -> None:
    start(job, service)
    service.only().log = b"some words\n"
    assert (
        job.out(
            "exec 5< executions/j/log 6< executions/j/status; rmdir executions/j; cat <&5; cat <&6"
        )
        == "some words\nrunning\n"
    )
