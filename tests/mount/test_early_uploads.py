"""Large inputs are sent while they are written; a close still tells the truth."""

from __future__ import annotations

import random
import signal
import threading

import pytest

from tests.fakeservice import FakeService, Handler, hang, refuse, until
from tests.mount.harness import Mount

SIZE = 40_000_000
LARGE = random.Random(3).randbytes(SIZE)

WRITE = """
import os, sys
file = os.open("executions/j/input/coords", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
with open(sys.argv[1], "rb") as source:
    while piece := source.read(1_000_003):
        os.write(file, piece)
        if source.tell() > 30_000_000:
            break
    print("most of it", flush=True)
    sys.stdin.readline()
    {then}
os.close(file)
"""
REST = "os.write(file, source.read())"


@pytest.fixture
def source(job: Mount) -> str:
    """A large file."""
    path = job.root / "large"
    path.write_bytes(LARGE)
    return str(path)


def writing(job: Mount, source: str, then: str = REST):
    """A program that has written most of it, and goes on after a line."""
    script = job.root / "write.py"
    script.write_text(WRITE.format(then=then))
    program = job.spawn("python3", str(script), source, stdin=-1)
    assert program.stdout is not None
    assert program.stdout.readline() == "most of it\n"
    return program


# > A large input that is written from its beginning to its end is sent meanwhile,
def test_a_large_input_is_sent_while_it_is_written(
    job: Mount, service: FakeService, source: str
) -> None:
    program = writing(job, source)
    until(lambda: service.count("upload") == 1)
    assert service.only().inputs == {}, "it has no end yet"
    program.communicate("\n", timeout=30)
    assert program.returncode == 0
    assert service.only().inputs == {"coords": LARGE}
    assert service.count("upload") == 1
    job.sh("echo 1 > executions/j/start")
    job.sh(f"cmp {source} executions/j/input/coords")


def test_a_plain_copy_needs_one_request(job: Mount, service: FakeService, source: str) -> None:
    job.sh(f"cp {source} executions/j/input/coords")
    assert service.only().inputs == {"coords": LARGE}
    assert service.count("upload") == 1


# > and sent again at its close where it was written otherwise, or the service does not say that it
# > has it all.
@pytest.mark.parametrize(
    ("then", "content"),
    [
        ("os.pwrite(file, b'new', 5); " + REST, LARGE[:5] + b"new" + LARGE[8:]),
        ("os.ftruncate(file, 20_000_000)", LARGE[:20_000_000]),
        ("os.pwrite(file, b'x', 39_000_000)", None),
    ],
)
def test_what_is_not_written_to_its_end_in_order_is_sent_at_the_close(
    job: Mount, service: FakeService, source: str, then: str, content: bytes | None
) -> None:
    program = writing(job, source, then)
    until(lambda: service.count("upload") == 1)
    program.communicate("\n", timeout=30)
    assert program.returncode == 0
    if content is None:
        content = LARGE[:30_000_090] + bytes(39_000_000 - 30_000_090) + b"x"
    assert service.only().inputs["coords"] == content
    assert service.count("upload") == 2


def test_a_service_that_does_not_say_what_it_has_gets_it_once_more(
    job: Mount, service: FakeService, source: str
) -> None:
    def without_size(handler: Handler) -> None:
        handler.service.only().inputs["coords"] = handler._body()
        handler.json({"id": "coords"})

    service.fault("upload", without_size)
    job.sh(f"cp {source} executions/j/input/coords")
    assert service.count("upload") == 2
    assert service.only().inputs == {"coords": LARGE}
    job.sh(f"cp {source} executions/j/input/coords")
    assert service.count("upload") == 3, "from then on it is sent with its length"


def test_a_service_that_wants_a_length_gets_it(
    job: Mount, service: FakeService, source: str
) -> None:
    def picky(handler: Handler) -> None:
        if "Content-Length" in handler.headers:
            handler._upload(service.only().id, "coords")
        else:
            handler._body()
            handler.fail(411, "how long?")

    service.fault("upload", picky)
    job.sh(f"cp {source} executions/j/input/coords; cp {source} executions/j/input/model")
    assert service.count("upload") == 3
    assert service.only().inputs["coords"] == LARGE
    assert job.out("cat executions/j/error") == ""


def test_a_service_that_is_down_meanwhile_gets_it_at_the_close(
    job: Mount, service: FakeService, source: str
) -> None:
    program = writing(job, source)
    until(lambda: service.count("upload") == 1)
    service.down()
    service.up()
    program.communicate("\n", timeout=30)
    assert program.returncode == 0
    assert service.only().inputs == {"coords": LARGE}


def test_a_writer_that_is_killed_leaves_nothing_at_the_service(
    job: Mount, service: FakeService, source: str
) -> None:
    job.expected.append("is torn")
    program = writing(job, source)
    until(lambda: service.count("upload") == 1)
    program.send_signal(signal.SIGKILL)
    program.wait(10)
    assert job.sh("echo 1 > executions/j/start", check=False).returncode != 0
    assert service.only().inputs == {}
    job.sh(f"cp {source} executions/j/input/coords && echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": LARGE}


def test_an_input_that_gets_another_name_while_it_is_written_goes_there(
    job: Mount, service: FakeService, source: str
) -> None:
    program = writing(job, source)
    until(lambda: service.count("upload") == 1)
    job.sh("mv executions/j/input/coords executions/j/input/model")
    job.sh("echo other > executions/j/input/coords")
    program.communicate("\n", timeout=30)
    assert program.returncode == 0
    assert service.only().inputs == {"coords": b"other\n", "model": LARGE}


def test_a_refusal_is_told_at_the_close(job: Mount, service: FakeService, source: str) -> None:
    job.expected.append("upload of input coords")
    service.fault("upload", refuse(413, "too large"))
    assert "File too large" in job.sh(f"cp {source} executions/j/input/coords", check=False).stderr


def test_a_close_that_is_interrupted_leaves_nothing_under_way(
    job: Mount, service: FakeService, source: str
) -> None:
    job.expected.append("upload of input coords")
    release = threading.Event()
    service.fault("upload", hang(release, 30), times=1)
    copy = job.spawn("cp", source, "executions/j/input/coords")
    until(lambda: service.count("upload") == 1)
    copy.send_signal(signal.SIGINT)
    assert copy.wait(20) != 0
    release.set()
    job.sh(f"cp {source} executions/j/input/coords && echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": LARGE}
