"""Untrue outputs, sizes, values and logs, each by name."""

from __future__ import annotations

import gzip
import threading

import pytest

from tests.fakeservice import FakeService, Fault, Handler, refuse, until
from tests.mount.harness import Mount
from tests.soak import amount

TEXT = b"".join(b"line %d\n" % number for number in range(50_000))
PACKED = gzip.compress(TEXT)


def ended(job: Mount, service: FakeService, **outputs: bytes) -> None:
    job.sh("echo 1 > executions/j/start")
    service.only().end(**outputs)
    until(lambda: job.out("cat executions/j/status") == "ended\n")


def packed(body: bytes, coding: str, *, close: bool = False) -> Fault:
    """A body with a Content-Encoding, whose end is told by its length or by the connection's."""

    def fault(handler: Handler) -> None:
        handler._body()
        handler.send_response(200)
        handler.send_header("Content-Encoding", coding)
        if close:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        else:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return fault


BROKEN = {
    "cut, with a length": packed(PACKED[: len(PACKED) // 2], "gzip"),
    "cut, without one": packed(PACKED[: len(PACKED) // 2], "gzip", close=True),
    "no gzip": packed(b"surprise", "gzip"),
    "br": packed(b"\x0b\x02\x80hello\x03", "br"),
    "zstd": packed(b"\x28\xb5\x2f\xfdjunk", "zstd"),
}


@pytest.mark.parametrize("body", BROKEN)
def test_a_packed_output_was_taken_for_whole_or_for_plain(
    job: Mount, service: FakeService, body: str
) -> None:
    service.supports_head = False
    ended(job, service, result=TEXT)
    service.fault("output", BROKEN[body])
    result = job.sh("cat executions/j/output/result", check=False)
    assert "Input/output error" in result.stderr
    assert TEXT.startswith(result.stdout.encode())
    assert "packed" in job.out("cat executions/j/error")


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_only_the_first_member_of_a_packed_output_was_read(
    job: Mount, service: FakeService, coding: str
) -> None:
    service.supports_head = False
    ended(job, service, result=TEXT)
    members = gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:]) + b"\0" * 512
    service.fault("output", packed(members, coding))
    assert job.out("cat executions/j/output/result").encode() == TEXT


def test_a_success_before_all_was_sent_counted_as_an_upload(
    job: Mount, service: FakeService
) -> None:
    def early(handler: Handler) -> None:
        handler.rfile.read(1000)
        handler.json({"id": "coords"})
        handler.close_connection = True

    service.fault("upload", early)
    script = "head -c 20000000 /dev/zero > $M/../big; cp $M/../big executions/j/input/coords"
    assert "Input/output error" in job.sh(script, check=False).stderr
    assert job.sh("echo 1 > executions/j/start", check=False).returncode != 0
    assert service.count("start") == 0


@pytest.mark.parametrize("code", [401, 429, 503])
def test_a_size_stayed_0_after_a_refusal(service: FakeService, code: int) -> None:
    root, env = service.socket.parent, {"PIFOPFS_SIZE_RECHECK": "0.2"}
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount:
        mount.sh("mkdir executions/j")
        ended(mount, service, result=b"42")
        service.fault("size", refuse(code))
        assert mount.out("stat -c %s executions/j/output/result") == "0\n"
        service.heal()
        until(lambda: mount.out("stat -c %s executions/j/output/result") == "2\n")


def test_values_of_an_ended_execution_were_busy_with_the_service(service: FakeService) -> None:
    root, env = service.socket.parent, {"PIFOPFS_GONE_RECHECK": "0.1"}
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount:
        mount.sh("mkdir executions/j")
        ended(mount, service, result=b"42")
        service.fault("status", refuse(503))
        asked = service.count("status")
        until(lambda: mount.out("cat executions/j/end_reason") == "normal\n"
              and service.count("status") > asked)  # fmt: skip


def test_a_length_that_no_file_has_hid_the_other_outputs(job: Mount, service: FakeService) -> None:
    ended(job, service, huge=b"", small=b"42")

    def announced(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(2**63 + 5 if "huge" in handler.path else 2))
        handler.end_headers()

    service.fault("size", announced)
    assert job.out("cd executions/j/output; stat -c '%n %s' *") == "huge 0\nsmall 2\n"
    service.fault("output", announced)
    assert "Input/output error" in job.sh("cat executions/j/output/huge", check=False).stderr


def test_an_overtaken_answer_made_the_log_shorter(job: Mount, service: FakeService) -> None:
    service.supports_log_offset = False
    job.sh("echo 1 > executions/j/start")
    service.only().log = whole = b"a line\n" * 100
    until(lambda: job.out("cat executions/j/log").encode() == whole)
    service.only().log, asked = whole[:350], service.count("log")
    until(lambda: job.out("cat executions/j/log").encode() == whole
          and service.count("log") > asked)  # fmt: skip
    service.only().log = whole + b"more\n"
    until(lambda: job.out("cat executions/j/log").encode() == whole + b"more\n")


def test_an_output_whose_size_was_told_wrongly_could_never_be_read(
    job: Mount, service: FakeService
) -> None:
    """Once it is an error, then the download itself tells the length."""
    ended(job, service, result=TEXT)

    def nothing(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    service.fault("size", nothing)
    assert job.sh("cat executions/j/output/result", check=False).returncode != 0
    assert job.out("cat executions/j/output/result").encode() == TEXT


FIRST_PAGE = """
import os
f = os.open('executions/j/output/result', os.O_RDONLY)
os.posix_fadvise(f, 0, 0, os.POSIX_FADV_RANDOM)
print(os.pread(f, 4096, 0)[:1].decode(), flush=True)
input()
print(os.pread(f, 1 << 20, 0).decode().count('1'))
"""


@pytest.mark.parametrize("held", [False, True])
def test_pages_of_two_downloads_of_an_output_were_mixed(
    job: Mount, service: FakeService, held: bool
) -> None:
    ended(job, service, result=b"1" * (1 << 20))
    job.sh("cat executions/j/output/result > /dev/null")
    reading = job.spawn("python3", "-c", FIRST_PAGE, stdin=-1)
    assert reading.stdout is not None
    assert reading.stdout.readline() == "1\n"
    if not held:
        reading.communicate("\n", timeout=20)
    job.sh("rm executions/j/output/result")
    service.only().outputs["result"] = b"2" * (1 << 20)
    assert job.out("cat executions/j/output/result | tr -d 2") == ""
    if held:
        assert reading.communicate("\n", timeout=20)[0] == f"{1 << 20}\n"
    assert job.out("cat executions/j/output/result | tr -d 2") == ""


FOLLOW = """
import os, sys, time
f, seen, end = os.open('executions/j/log', os.O_RDONLY), b'', time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    seen += os.read(f, 1 << 20)
lines = seen.split(b'\\n')[:-1]
print(len(lines), lines == [b'%015d' % n for n in range(len(lines))], seen.count(b'\\0'))
"""


def test_readers_of_a_growing_log_got_zeros(service: FakeService) -> None:
    """The size moved before the page that ended at the old one was dropped."""
    root, env = service.socket.parent, {"PIFOPFS_FRESHNESS": "0.02"}
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        execution, over = service.only(), threading.Event()

        def grow() -> None:
            number, whole = 0, bytearray()
            while not over.wait(0.01):
                for _ in range(3):
                    whole += b"%015d\n" % number
                    number += 1
                execution.log = bytes(whole)

        growing = threading.Thread(target=grow)
        growing.start()
        readers = [mount.spawn("python3", "-c", FOLLOW, str(amount(5, 60))) for _ in range(4)]
        told = [reader.communicate(timeout=amount(60, 300)) for reader in readers]
        over.set()
        growing.join()
        for stdout, stderr in told:
            count, right, zeros = stdout.split() or ["0", stderr, ""]
            assert (right, zeros) == ("True", "0")
            assert int(count) > 0


def test_a_create_that_answered_a_known_execution_deleted_it(
    job: Mount, service: FakeService
) -> None:
    job.sh("echo 1 > executions/j/start")
    known = service.only().document()
    service.fault("create", lambda handler: handler.json(known), times=1)
    assert "Input/output error" in job.sh("mkdir executions/k", check=False).stderr
    assert job.out("cat executions/j/status") == "running\n"
    assert service.count("terminate") == 0


def test_a_body_longer_than_announced_was_read(job: Mount, service: FakeService) -> None:
    ended(job, service, result=b"x" * 1000)
    assert job.out("stat -c %s executions/j/output/result") == "1000\n"

    def longer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(3):
            handler.wfile.write(b"3e8\r\n" + b"y" * 1000 + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    service.fault("output", longer)
    for command in ("cat executions/j/output/result", "cat executions/j/output/result"):
        result = job.sh(command, check=False)
        assert len(result.stdout) in (0, 3000)  # an error, or all of what the download now tells
    service.heal()


def test_two_mounts_with_two_state_folders_shared_the_files_of_their_logs(
    service: FakeService,
) -> None:
    root = service.socket.parent
    args = ("joe/tsp", "--endpoint", service.endpoint, "--state-dir")
    one, other = (Mount(root, *args, str(root / name)) for name in ("one", "other"))
    one.path, other.path = root / "mnt", root / "mnt2"
    other.path.mkdir()
    try:
        for mount, line in ((one, b"of one\n"), (other, b"of the other\n")):
            mount.mount()
            mount.sh("mkdir executions/j; echo 1 > executions/j/start")
            id_ = mount.out("cat executions/j/id").strip()
            service.executions[id_].log = line
            assert mount.out("cat executions/j/log").encode() == line
        assert one.out("cat executions/j/log") == "of one\n"
    finally:
        one.clean_up()
        other.clean_up()
