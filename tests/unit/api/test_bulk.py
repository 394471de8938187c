"""Large bodies are moved by another process, and nobody can tell but by the clock."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from pifopfs import errors
from pifopfs.api import (
    ApiKey,
    BulkProcess,
    Deadlines,
    FunctionClient,
    Growing,
    Head,
    Incoming,
    OpenFile,
    Span,
)
from pifopfs.wire import ExecutionId
from tests.fakeservice import FakeExecution, FakeService, hang, refuse

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

E = ExecutionId("exec_1")
BIG = random.Random(1).randbytes(9_000_000)
DEADLINES = Deadlines(connect=5, stall=5, total=5, recheck=0.1)


class Sink(Incoming):
    """A file, and what was told of it."""

    def __init__(self, path: Path) -> None:
        self.heads: list[Head] = []
        self.news = trio.Event()
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        super().__init__(file, self.heads.append, lambda: self.news.set())

    def content(self) -> bytes:
        return os.pread(self.file, 1 << 30, 0)


@pytest.fixture
def sink(root: Path) -> Iterator[Sink]:
    sink = Sink(root / "sink")
    yield sink
    os.close(sink.file)


@pytest.fixture
def bulk() -> BulkProcess:
    """Before there is an event loop."""
    return BulkProcess.fork()


@pytest.fixture
async def client(service: FakeService, bulk: BulkProcess) -> AsyncIterator[FunctionClient]:
    """Its large bodies are moved by another process."""
    service.executions[E] = FakeExecution(E)
    api_key = ApiKey("secret")
    client = FunctionClient(
        "joe/tsp", endpoint=service.endpoint, api_key=api_key, deadlines=DEADLINES
    )
    async with client, client.moved_by(bulk):
        yield client
    with pytest.raises(ProcessLookupError):  # it ends with its user
        os.kill(bulk.pid, 0)


async def test_a_large_output_comes_whole_and_with_the_key(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    service.executions[E].end(r=BIG)
    await client.save(E, "r", sink, expected=len(BIG))
    assert sink.content() == BIG
    assert sink.heads == [Head(len(BIG))]
    assert sink.progress.position == len(BIG)
    assert service.requests == [("output", "r")]
    assert service.keys == ["Bearer secret"]


async def test_a_small_output_makes_no_other_connection(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    service.executions[E].end(r=b"42")
    await client.execution(E)
    await client.save(E, "r", sink, expected=2)
    assert sink.content() == b"42"
    assert service.connected == 1


async def test_who_waits_for_an_offset_is_told_when_it_is_there(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    service.executions[E].end(r=BIG)
    release = threading.Event()

    def in_two_parts(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", str(len(BIG)))  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        handler.wfile.write(BIG[:5_000_000])  # type: ignore[attr-defined]
        release.wait(30)
        handler.wfile.write(BIG[5_000_000:])  # type: ignore[attr-defined]

    service.fault("output", in_two_parts)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client.save(E, "r", sink, expected=len(BIG)))
        with trio.fail_after(20):
            while not sink.progress.want(5_000_000):
                await sink.news.wait()
                sink.news = trio.Event()
            assert sink.content()[:5_000_000] == BIG[:5_000_000]
            assert not sink.progress.want(5_000_001)
            release.set()
            while not sink.progress.want(len(BIG)):
                await sink.news.wait()
                sink.news = trio.Event()
    assert sink.content() == BIG


async def test_a_part_of_an_output(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    service.supports_ranges = True
    service.executions[E].end(r=BIG)
    head = await client.output_head(E, "r")
    assert head.ranges
    await client.save(E, "r", sink, expected=4_500_000, span=Span(7, 4_500_007, head))
    await client.save(E, "r", sink, expected=10, span=Span(8_000_000, 8_000_010, head))
    assert sink.content()[7:4_500_007] == BIG[7:4_500_007]
    assert sink.content()[8_000_000:] == BIG[8_000_000:8_000_010]
    assert service.ranges == ["bytes=7-4500006", "bytes=8000000-8000009"]


@pytest.mark.parametrize("size", [10, 5_000_000])
async def test_a_part_of_another_output_than_expected_is_refused(
    client: FunctionClient, service: FakeService, sink: Sink, size: int
) -> None:
    service.supports_ranges = True
    service.executions[E].end(r=BIG)
    head = await client.output_head(E, "r")
    service.executions[E].end(r=BIG[::-1])
    with pytest.raises(errors.BadAnswer, match="200 where 206 is due"):
        await client.save(E, "r", sink, expected=size, span=Span(0, size, head))
    assert sink.content() == b""


@pytest.mark.parametrize(
    ("code", "kind"), [(404, errors.OutputUnknown), (500, errors.ServiceFailure)]
)
async def test_a_refusal_is_the_same_error_as_ever(
    client: FunctionClient, service: FakeService, sink: Sink, code: int, kind: type[Exception]
) -> None:
    service.fault("output", refuse(code, "not today"))
    with pytest.raises(kind, match=r"output r of exec_1: .*not today"):
        await client.save(E, "r", sink)


async def test_an_answer_that_ends_early_is_an_error(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    def cut(handler: object) -> None:
        handler.send_response(200)  # type: ignore[attr-defined]
        handler.send_header("Content-Length", str(len(BIG)))  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        handler.wfile.write(BIG[:-1])  # type: ignore[attr-defined]
        handler.close_connection = True  # type: ignore[attr-defined]

    service.executions[E].end(r=BIG)
    service.fault("output", cut)
    with pytest.raises(errors.ConnectionBroken):
        await client.save(E, "r", sink, expected=len(BIG))


async def test_what_is_cancelled_has_ended_over_there(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    service.executions[E].end(r=BIG)
    release = threading.Event()
    service.fault("output", hang(release, 30))
    with trio.move_on_after(0.5) as scope:
        await client.save(E, "r", sink, expected=len(BIG))
    assert scope.cancelled_caught
    release.set()
    service.heal()
    await client.save(E, "r", sink, expected=len(BIG))
    assert sink.content() == BIG


async def test_an_upload_of_a_large_file(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    os.pwrite(sink.file, BIG, 0)
    info = await client.upload(E, "coords", OpenFile(sink.file))
    assert service.executions[E].inputs["coords"] == BIG
    assert info.size == len(BIG)


async def test_an_upload_is_told_of_the_same_errors(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    os.pwrite(sink.file, BIG, 0)
    service.executions[E].status = "running"
    with pytest.raises(errors.InputsClosed):
        await client.upload(E, "coords", OpenFile(sink.file))


async def test_a_file_is_uploaded_while_it_is_written(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    growing = Growing(sink.file)
    lots = random.Random(7)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.upload, E, "coords", growing)
        start = 0
        while start < len(BIG):
            end = min(len(BIG), start + lots.randrange(1, 900_000))
            os.pwrite(sink.file, BIG[start:end], start)
            growing.come_to(end)
            start = end
            await trio.sleep(lots.choice([0, 0, 0.001, 0.02]))
        assert "coords" not in service.executions[E].inputs
        growing.finish()
    assert service.executions[E].inputs["coords"] == BIG


async def test_without_its_end_what_is_written_is_nothing_to_the_service(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    growing = Growing(sink.file)
    os.pwrite(sink.file, BIG, 0)
    growing.come_to(len(BIG))
    with trio.move_on_after(0.5):
        await client.upload(E, "coords", growing)
    await client.upload(E, "coords", b"other")
    assert service.executions[E].inputs == {"coords": b"other"}


async def test_when_the_process_is_killed_its_transfers_fail_and_the_next_ones_do_without(
    client: FunctionClient,
    bulk: BulkProcess,
    service: FakeService,
    sink: Sink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.executions[E].end(r=BIG)
    service.fault("output", lambda handler: os.kill(bulk.pid, signal.SIGKILL), times=1)
    with pytest.raises(errors.ConnectionBroken, match="has died"):
        await client.save(E, "r", sink, expected=len(BIG))
    await client.save(E, "r", sink, expected=len(BIG))
    assert sink.content() == BIG
    assert "the process that moves large bodies has died" in caplog.text


async def test_a_place_that_another_transfer_has_was_still_written_by_the_one_before(
    client: FunctionClient, service: FakeService, sink: Sink, root: Path
) -> None:
    """Who still wrote a file whose upload had failed moved the end of another's download."""
    service.executions[E].end(r=BIG)
    growing = Growing(sink.file)
    os.pwrite(sink.file, BIG, 0)
    growing.come_to(len(BIG))
    growing.finish()
    with pytest.raises(errors.InputsClosed):
        await client.upload(E, "coords", growing)
    first, second = Sink(root / "first"), Sink(root / "second")
    await client.save(E, "r", first, expected=len(BIG))
    release = threading.Event()
    service.fault("output", hang(release, 30))
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: client.save(E, "r", second, expected=len(BIG)))
            await trio.sleep(0.2)
            growing.come_to(3_000_000_000)
            assert second.progress.position == 0
            assert first.progress.position == len(BIG)
    release.set()
    for each in (first, second):
        os.close(each.file)


async def test_an_output_that_is_refused_at_its_beginning_has_ended_over_there(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    """It went on, into a file and a place that were no longer its own."""
    service.executions[E].end(r=BIG)

    def refused(head: Head) -> None:
        raise errors.OutputChanged("r", "another one")

    sink.began = refused
    with pytest.raises(errors.OutputChanged):
        await client.save(E, "r", sink, expected=len(BIG))
    size = os.fstat(sink.file).st_size
    await trio.sleep(0.3)
    assert os.fstat(sink.file).st_size == size


async def test_a_file_that_was_whole_before_its_upload_began_was_waited_for(
    client: FunctionClient, service: FakeService, sink: Sink
) -> None:
    """Nobody told that it was, so its close took 20 s and a second upload."""
    os.pwrite(sink.file, BIG, 0)
    growing = Growing(sink.file)
    growing.come_to(len(BIG))
    growing.finish()
    with trio.fail_after(10):
        await client.upload(E, "coords", growing)
    assert service.executions[E].inputs["coords"] == BIG
