"""Answers that are long, deep, slow to come or too talkative; files that are none."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from pifopfs import errors
from pifopfs.api import Deadlines, FunctionClient
from pifopfs.wire import ExecutionId, Status
from tests.fakeservice import FakeExecution, FakeService, Handler, refuse

PATIENT = Deadlines(connect=5, stall=20, total=30, create=30, backoff=0.01)
KEY = "apikey_" + "S3cr3t" * 8
E = ExecutionId("exec_1")
DEEP = b"[" * 200_000

CHANGES = {
    "create": lambda client: client.create(),
    "start": lambda client: client.start(E),
    "stop": lambda client: client.stop(E),
    "terminate": lambda client: client.terminate(E),
}


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[FunctionClient]:
    """A client of the fake service, which has the execution `E`."""
    service.executions[E] = FakeExecution(E)
    async with FunctionClient(
        "joe/tsp", endpoint=service.endpoint, api_key=KEY, deadlines=PATIENT
    ) as client:
        yield client


# ── Long and deep ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("call", CHANGES)
async def test_what_changes_an_execution_does_not_ask_for_its_log(
    service: FakeService, client: FunctionClient, call: str
) -> None:
    asked: list[object] = []

    def heard(handler: Handler) -> None:
        asked.append(handler.query.get("include_log"))
        handler.json({"id": E, "status": "ended"})

    service.fault(call, heard)
    await CHANGES[call](client)
    assert asked == [["false"]]


@pytest.mark.parametrize("call", [*CHANGES, "status"])
async def test_a_long_log_that_comes_unasked_spoils_no_success(
    service: FakeService, client: FunctionClient, call: str
) -> None:
    document = {"id": E, "status": "ended", "log": "x" * (5 << 20)}
    service.fault(call, lambda handler: handler.json(document))
    if call == "status":
        assert (await client.execution(E)).status is Status.ENDED
    else:
        await CHANGES[call](client)
    assert service.count(call) == 1


async def test_json_nested_too_deep_is_a_bad_answer(
    service: FakeService, client: FunctionClient
) -> None:
    service.fault("status", lambda handler: handler.raw(DEEP))
    with pytest.raises(errors.BadAnswer):
        await client.execution(E)


async def test_an_error_nested_too_deep_is_told_by_its_reason_phrase(
    service: FakeService, client: FunctionClient
) -> None:
    service.fault("status", lambda handler: handler.raw(DEEP, 403))
    with pytest.raises(errors.AccessDenied, match="403 Forbidden"):
        await client.execution(E)


# ── Pauses ────────────────────────────────────────────────────────────────────────────────────


def later(seconds: str) -> Callable[[Handler], None]:
    """Not now, says the service, but after so many seconds."""

    def fault(handler: Handler) -> None:
        handler._body()
        handler.send_response(429)
        handler.send_header("Retry-After", seconds)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


@pytest.mark.parametrize("seconds", ["31", "3600", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_an_upload_is_not_told_to_wait_longer_than_a_call_may_take(
    service: FakeService, client: FunctionClient, seconds: str
) -> None:
    service.fault("upload", later(seconds))
    with trio.fail_after(15), pytest.raises(errors.ServiceBusy):
        await client.upload(E, "coords", b"x")
    assert service.count("upload") == 1


async def test_the_pauses_of_an_upload_are_bounded_together(service: FakeService) -> None:
    service.executions[E] = FakeExecution(E)
    service.fault("upload", later("1"))
    async with FunctionClient(
        "joe/tsp", endpoint=service.endpoint, deadlines=Deadlines(total=1.5)
    ) as client:
        with trio.fail_after(15), pytest.raises(errors.ServiceBusy):
            await client.upload(E, "coords", b"x")
    assert service.count("upload") == 2


# ── The key ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", [400, 403, 500])
async def test_a_key_that_the_service_sends_back_is_not_shown(
    service: FakeService, client: FunctionClient, code: int
) -> None:
    long = "x" * 280 + KEY  # to be cut in the middle of the key
    for text in (f"no such key: {KEY}!", long):
        service.fault("create", refuse(code, text))
        with pytest.raises(errors.ServiceError) as raised:
            await client.create()
        assert "S3cr3t" not in f"{raised.value!r} {raised.value}"
        assert "…" in str(raised.value)


async def test_a_key_in_a_document_or_a_broken_header_is_not_shown(
    service: FakeService, client: FunctionClient
) -> None:
    def broken(handler: Handler) -> None:
        handler._body()
        handler.wfile.write(f"HTTP/1.1 200 OK\r\n{KEY} \x01\r\n\r\n".encode())
        handler.close_connection = True

    def document(handler: Handler) -> None:
        handler.json({"id": E, "status": KEY})

    for fault in (broken, document):
        service.fault("create", fault)
        with pytest.raises(errors.Unclear) as raised:
            await client.create()
        assert "S3cr3t" not in f"{raised.value!r} {raised.value}"


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (f"https://{KEY}:{KEY}@evil.example:8443/{KEY}?k={KEY}", "evil.example"),
        (f"https://{KEY}.example/", "….example"),
        ("/elsewhere", "another path"),
        ("https://[", "another path"),
    ],
)
async def test_of_a_redirect_only_the_host_is_shown(
    service: FakeService, client: FunctionClient, location: str, words: str
) -> None:
    def elsewhere(handler: Handler) -> None:
        handler.send_response(307)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    service.fault("function", elsewhere)
    with pytest.raises(errors.RequestRejected) as raised:
        await client.function()
    assert f"it redirects to {words}, which is never followed" in str(raised.value)
    assert "s3cr3t" not in f"{raised.value!r} {raised.value}".lower()


# ── Files that are none ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "proc", "missing"])
async def test_a_path_that_is_no_regular_file_is_refused_before_anything_is_sent(
    service: FakeService, client: FunctionClient, tmp_path: Path, kind: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    path = {
        "pipe": tmp_path / "pipe",
        "folder": tmp_path,
        "device": Path("/dev/null"),
        "proc": Path("/proc/cpuinfo"),
        "missing": tmp_path / "missing",
    }[kind]
    with trio.fail_after(10), pytest.raises(OSError, match=path.name):
        await client.upload(E, "coords", path)
    assert service.requests == []


@pytest.mark.parametrize("content", [b"", b"x" * 1_000_000])
async def test_a_regular_file_is_uploaded_whole(
    service: FakeService, client: FunctionClient, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "coords").write_bytes(content)
    await client.upload(E, "coords", tmp_path / "coords")
    assert service.executions[E].inputs == {"coords": content}
