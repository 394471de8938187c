"""Requests are counted, the last ones kept, and each has an id that its log lines have, too."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from pifopfs import errors
from pifopfs.api import BulkProcess, Deadlines, FunctionClient, Incoming, OpenFile
from pifopfs.api.answers import Call
from pifopfs.cli.logformats import request_of
from pifopfs.observing.histogram import BOUNDS, Histogram
from pifopfs.wire import ExecutionId
from tests.fakeservice import FakeExecution, FakeService, Handler, refuse

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

KEY = "apikey_" + "S3cr3t" * 8
E = ExecutionId("exec_1")
QUICK = Deadlines(connect=5, stall=5, total=5, create=5, backoff=0.01, recheck=60)
BIG = random.Random(1).randbytes(9_000_000)


@pytest.fixture
def bulk() -> BulkProcess:
    """Before there is an event loop."""
    return BulkProcess.fork()


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[FunctionClient]:
    service.executions[E] = FakeExecution(E)
    async with FunctionClient(
        "joe/tsp", endpoint=service.endpoint, api_key=KEY, deadlines=QUICK
    ) as client:
        yield client


def listed(client: FunctionClient) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.recorder.render().decode().splitlines()]


async def test_a_request_is_listed_with_what_it_took(
    service: FakeService, client: FunctionClient
) -> None:
    await client.upload(E, "coords", b"12345")
    (line,) = listed(client)
    assert line["time"].startswith("20")
    assert line["endpoint"] == "upload"
    assert (line["method"], line["path"]) == ("POST", "/joe/tsp/executions/exec_1/input/coords")
    assert (line["code"], line["error"], line["attempts"]) == (200, None, 1)
    assert line["sent"] == 5
    assert line["received"] == len(json.dumps({"id": "coords", "size": 5}))
    assert 0 < line["seconds"] < 5
    assert service.request_ids == [line["id"]]


async def test_the_tries_of_one_request_have_one_id_and_another_request_another(
    service: FakeService, client: FunctionClient
) -> None:
    service.fault("status", refuse(503), times=2)
    await client.execution(E)
    await client.execution(E)
    first, second = listed(client)
    assert first["attempts"] == 3
    assert service.request_ids == [first["id"]] * 3 + [second["id"]]
    assert first["id"] != second["id"]
    assert client.recorder.retries[Call.STATUS] == 2


async def test_every_log_line_of_a_request_has_its_id(
    service: FakeService, client: FunctionClient, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[tuple[str, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.getMessage(), request_of(record)))  # type: ignore[method-assign]
    caplog.set_level(logging.DEBUG, "pifopfs")
    logging.getLogger("pifopfs").addHandler(handler)
    try:
        service.fault("status", refuse(503), times=2)
        await client.execution(E)
        service.fault("status", refuse(404), times=1)
        with pytest.raises(errors.ExecutionUnknown) as raised:
            await client.execution(E)
        logging.getLogger("pifopfs").warning("what became of it: %s", raised.value)
    finally:
        logging.getLogger("pifopfs").removeHandler(handler)
    first, second = listed(client)
    assert [request for _, request in lines] == [first["id"]] * 3 + [second["id"]] * 2
    assert "; again in" in lines[0][0]


async def test_a_failure_is_listed_by_its_code_and_its_name_without_the_words_of_the_service(
    service: FakeService, client: FunctionClient
) -> None:
    service.fault("status", refuse(403, f"who is {KEY}?"))
    with pytest.raises(errors.AccessDenied):
        await client.execution(E)
    service.down()
    with pytest.raises(errors.NotSent):
        await client.execution(E)
    denied, nobody = listed(client)
    assert (denied["code"], denied["error"]) == (403, "AccessDenied")
    assert (nobody["code"], nobody["attempts"]) == (None, 2)
    assert client.recorder.outcomes == {(Call.STATUS, "403"): 1, (Call.STATUS, nobody["error"]): 1}
    assert "S3cr3t" not in client.recorder.render().decode()


async def test_an_answer_that_is_none_counts_as_the_error_that_it_is(
    service: FakeService, client: FunctionClient
) -> None:
    service.fault("status", lambda handler: handler.json({"surprise": 1}), times=1)
    with pytest.raises(errors.BadAnswer):
        await client.execution(E)
    (line,) = listed(client)
    assert (line["code"], line["error"]) == (200, "BadAnswer")
    assert client.recorder.outcomes == {(Call.STATUS, "BadAnswer"): 1}


async def test_the_last_thousand_are_kept(service: FakeService, client: FunctionClient) -> None:
    for number in range(1005):
        record = client.recorder.begin(_request(number))
        with client.recorder.noting(record):
            client.recorder.sending(record)
    assert [line["path"] for line in listed(client)] == [f"/{n}" for n in range(5, 1005)]
    assert client.recorder.outcomes.total() == 1005


def _request(number: int) -> Any:
    from pifopfs.api.requests import Request

    return Request(Call.STATUS, "GET", f"/{number}", "of it")


async def test_a_request_under_way_is_listed_without_an_end(
    service: FakeService, client: FunctionClient
) -> None:
    arrived, go = trio.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    def late(handler: Handler) -> None:
        trio.from_thread.run_sync(arrived.set, trio_token=token)
        trio.from_thread.run(go.wait, trio_token=token)
        handler.json({"id": E, "status": "pending"})

    service.fault("status", late, times=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.execution, E)
        await arrived.wait()
        (line,) = listed(client)
        assert (line["seconds"], line["code"], line["error"]) == (None, None, None)
        go.set()
    assert listed(client)[0]["code"] == 200


async def test_a_service_that_is_down_is_told_of_and_what_is_not_asked_is_counted(
    service: FakeService, client: FunctionClient
) -> None:
    assert client.breaker.down_since is None
    service.down()
    for _ in range(4):
        with pytest.raises(errors.NotSent):
            await client.execution(E)
    assert client.breaker.down_since is not None
    assert client.recorder.held_back == 1
    assert len(listed(client)) == 3
    client.breaker.answered(Call.STATUS)
    assert client.breaker.down_since is None


# ── Bodies ────────────────────────────────────────────────────────────────────────────────────


async def test_an_output_is_one_request_until_its_last_byte(
    service: FakeService, client: FunctionClient
) -> None:
    service.executions[E].end(r=b"x" * 300_000)
    async with client.output(E, "r") as stream:
        async for _ in stream:
            assert listed(client)[0]["seconds"] is None
    (line,) = listed(client)
    assert (line["endpoint"], line["received"]) == ("output", 300_000)
    assert line["seconds"] > 0


async def test_a_body_that_breaks_in_the_middle_is_a_failure(
    service: FakeService, client: FunctionClient
) -> None:
    def short(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)
        handler.close_connection = True

    service.executions[E].end(r=b"")
    service.fault("output", short)

    async def read() -> None:
        async with client.output(E, "r") as stream:
            async for _ in stream:
                pass

    with pytest.raises(errors.ConnectionBroken) as raised:
        await read()
    (line,) = listed(client)
    assert (line["code"], line["error"], line["received"]) == (200, "ConnectionBroken", 10)
    assert raised.value.request == line["id"]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_large_bodies_are_counted_wherever_they_are_moved(
    service: FakeService, client: FunctionClient, bulk: BulkProcess, root: Path, elsewhere: bool
) -> None:
    (root / "big").write_bytes(BIG)
    with (root / "big").open("rb") as source, (root / "copy").open("wb") as sink:

        async def move() -> None:
            service.fault("upload", refuse(503), times=1)
            await client.upload(E, "coords", OpenFile(source.fileno()))
            service.executions[E].end(r=BIG)
            incoming = Incoming(sink.fileno(), lambda _: None, lambda: None)
            await client.save(E, "r", incoming, expected=len(BIG))

        if elsewhere:
            async with client.moved_by(bulk):
                await move()
        else:
            async with bulk.serving(lambda: client):
                pass
            await move()
    assert (root / "copy").read_bytes() == BIG
    up, down = listed(client)
    assert (up["code"], up["attempts"]) == (200, 2)
    assert len(BIG) <= up["sent"] < 3 * len(BIG)
    assert (down["code"], down["received"]) == (200, len(BIG))
    assert service.request_ids == [up["id"]] * 2 + [down["id"]]
    assert client.recorder.received[Call.OUTPUT] == len(BIG)


# ── How long things take ──────────────────────────────────────────────────────────────────────


def test_a_histogram_counts_what_took_no_longer_than_each_bound() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.001, 0.0011, 59.0, 61.0):
        histogram.add(seconds)
    counts = dict(histogram.buckets())
    assert list(counts) == [*map(str, BOUNDS), "+Inf"]
    assert [counts["0.001"], counts["0.005"], counts["10.0"]] == [2, 3, 3]
    assert [counts["60.0"], counts["+Inf"]] == [4, 5]
    assert histogram.total == pytest.approx(120.0021)
