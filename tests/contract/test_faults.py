"""The client against a service that fails: which error, how many requests, and how soon."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio
import trustme

from pifopfs import errors
from pifopfs.api import ApiKey, Deadlines, Endpoint, FunctionClient
from pifopfs.wire import ExecutionId, Status
from tests.fakeservice import (
    FakeExecution,
    FakeService,
    Fault,
    Handler,
    HttpsService,
    dribble,
    garbage,
    hang,
    refuse,
    reset,
    short,
)

QUICK = Deadlines(connect=1, stall=0.3, total=1.5, create=1.5, backoff=0.01)
"""For a service that does not answer; a busy machine may be as slow as that, too."""
PATIENT = Deadlines(connect=10, stall=20, total=40, create=20, backoff=0.01)
"""For every other test: whatever the machine does meanwhile, no deadline passes."""
BOUND = 30.0
"""Seconds within which every call must have failed."""
KEY = "apikey_" + "S3cr3t" * 8
E = ExecutionId("exec_1")


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[FunctionClient]:
    """A client of the fake service, which has the execution `E`."""
    service.executions[E] = FakeExecution(E)
    async with a_client(service, PATIENT) as client:
        yield client


@pytest.fixture
async def quick(service: FakeService) -> AsyncIterator[FunctionClient]:
    """One that soon gives up."""
    async with a_client(service, QUICK) as client:
        yield client


def a_client(service: FakeService, deadlines: Deadlines) -> FunctionClient:
    return FunctionClient("joe/tsp", endpoint=service.endpoint, api_key=KEY, deadlines=deadlines)


async def read_output(client: FunctionClient) -> bytes:
    async with client.output(E, "r") as stream:
        return b"".join([piece async for piece in stream])


CALLS = {
    "function": lambda client: client.function(),
    "create": lambda client: client.create(),
    "upload": lambda client: client.upload(E, "coords", b"x" * 100_000),
    "start": lambda client: client.start(E),
    "status": lambda client: client.execution(E),
    "log": lambda client: client.log(E),
    "output": read_output,
    "size": lambda client: client.output_size(E, "r"),
    "stop": lambda client: client.stop(E),
    "terminate": lambda client: client.terminate(E),
}

FAULTS: dict[str, tuple[Fault, type[errors.ServiceError]]] = {
    "401": (refuse(401), errors.AccessDenied),
    "403": (refuse(403), errors.AccessDenied),
    "413": (refuse(413), errors.TooLarge),
    "418": (refuse(418), errors.RequestRejected),
    "503": (refuse(503), errors.ServiceBusy),
    "500": (refuse(500), errors.ServiceFailure),
    "507": (refuse(507), errors.ServiceFailure),
    "hang": (hang(threading.Event(), 10), errors.NoAnswer),
    "reset": (reset, errors.ConnectionBroken),
    "garbage": (garbage, errors.BadAnswer),
}

ONCE = {"create", "start"}
BODILESS = {"size", "output"}
"""Any bytes are an output, and its size says nothing of them."""


@pytest.mark.parametrize(
    ("call", "fault"),
    [(c, f) for c in CALLS for f in FAULTS if (c, f) not in {(c, "garbage") for c in BODILESS}],
)
async def test_every_call_with_every_fault(
    service: FakeService, client: FunctionClient, quick: FunctionClient, call: str, fault: str
) -> None:
    break_, expected = FAULTS[fault]
    service.executions[E].end(r=b"42")
    service.fault(call, break_)
    if call == "start":
        service.fault("status", break_)  # which an unclear start asks for
    with trio.fail_after(BOUND), pytest.raises(expected) as raised:
        await CALLS[call](quick if fault == "hang" else client)
    if call in ONCE:
        assert service.count(call) == 1
    assert "S3cr3t" not in f"{raised.value!r} {raised.value}"
    service.heal()
    service.executions[E] = FakeExecution(
        E, "ended" if call in {"output", "size", "stop"} else "pending"
    )
    service.executions[E].outputs["r"] = b"42"
    await CALLS[call](client)


RETRIED = ["function", "upload", "status", "log", "output", "size", "stop", "terminate"]


# > Uploads, reads, stop and terminate are retried with growing pauses within the deadline.
@pytest.mark.parametrize("fault", ["503", "reset"])
@pytest.mark.parametrize("call", RETRIED)
async def test_what_may_be_done_twice_is_tried_again(
    service: FakeService, client: FunctionClient, call: str, fault: str
) -> None:
    pending = call in {"upload", "terminate", "status", "log", "function"}
    service.executions[E] = FakeExecution(E, "pending" if pending else "ended")
    service.executions[E].outputs["r"] = b"42"
    service.fault(call, FAULTS[fault][0], times=2)
    await CALLS[call](client)
    assert service.count(call) == 3
    if call == "upload":
        assert service.executions[E].inputs == {"coords": b"x" * 100_000}


@pytest.mark.parametrize("call", RETRIED)
async def test_what_gets_no_answer_is_tried_again(service: FakeService, call: str) -> None:
    """However often: a busy machine may let an answer come too late, too."""
    service.executions[E] = FakeExecution(E)
    if call in {"output", "size", "stop"}:
        service.executions[E].end(r=b"42")
    service.fault(call, FAULTS["hang"][0], times=1)
    async with a_client(service, Deadlines(stall=1, total=20, create=20, backoff=0.01)) as client:
        await CALLS[call](client)
    assert service.count(call) >= 2


async def test_a_stream_is_uploaded_once(service: FakeService, client: FunctionClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    service.fault("upload", refuse(503), times=1)
    with pytest.raises(errors.ServiceBusy):
        await client.upload(E, "coords", pieces())
    assert service.count("upload") == 1


async def test_retry_after_is_heeded(service: FakeService, client: FunctionClient) -> None:
    def later(handler: Handler) -> None:
        handler.send_response(503)
        handler.send_header("Retry-After", "1")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    service.fault("status", later, times=1)
    began = trio.current_time()
    await client.execution(E)
    assert trio.current_time() - began >= 1.0


async def test_a_wait_that_is_longer_than_the_deadline_is_not_begun(
    service: FakeService, client: FunctionClient
) -> None:
    def much_later(handler: Handler) -> None:
        handler.send_response(429)
        handler.send_header("Retry-After", "3600")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    service.fault("status", much_later)
    with trio.fail_after(BOUND), pytest.raises(errors.ServiceBusy):
        await client.execution(E)
    assert service.count("status") == 1


async def test_a_terminate_whose_answer_was_lost_is_done(
    service: FakeService, client: FunctionClient
) -> None:
    def deleted_but_cut(handler: Handler) -> None:
        service.executions.clear()
        reset(handler)

    service.fault("terminate", deleted_but_cut, times=1)
    await client.terminate(E)
    with pytest.raises(errors.ExecutionUnknown):
        await client.terminate(E)


async def test_an_unclear_start_asks_whether_it_runs(
    service: FakeService, client: FunctionClient
) -> None:
    def started_but_cut(handler: Handler) -> None:
        service.executions[E].status = "running"
        reset(handler)

    service.fault("start", started_but_cut)
    assert (await client.start(E)).status is Status.RUNNING
    service.executions[E].status = "pending"
    service.fault("start", reset)
    with pytest.raises(errors.ConnectionBroken):
        await client.start(E)
    assert service.count("start") == 2


async def test_a_service_that_is_down(service: FakeService, client: FunctionClient) -> None:
    service.down()
    for call in CALLS.values():
        with trio.fail_after(BOUND), pytest.raises((errors.Unreachable, errors.ServiceDown)):
            await call(client)
    service.up()
    with trio.fail_after(BOUND):
        while True:
            try:
                await client.function()
                break
            except errors.ServiceDown:
                await trio.sleep(0.05)


# ── Bodies ────────────────────────────────────────────────────────────────────────────────────


async def test_an_output_that_comes_short(service: FakeService, client: FunctionClient) -> None:
    service.executions[E].end(r=b"")
    service.fault("output", short(b"x" * 400, 1000))
    with pytest.raises(errors.ConnectionBroken):
        await read_output(client)


async def test_an_output_that_stalls(service: FakeService, quick: FunctionClient) -> None:
    service.executions[E] = FakeExecution(E)
    service.executions[E].end(r=b"")
    release = threading.Event()
    service.fault("output", dribble(b"x" * 1000, release, 10))
    with trio.fail_after(BOUND), pytest.raises(errors.NoAnswer):
        await read_output(quick)
    release.set()


async def test_an_output_that_dribbles_is_no_stall(service: FakeService) -> None:
    """Longer than a whole call may take, but never without progress for long."""
    import time

    def slowly(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "40")
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    service.executions[E] = FakeExecution(E)
    service.executions[E].end(r=b"")
    service.fault("output", slowly)
    async with a_client(service, Deadlines(stall=20, total=1.5)) as client:
        assert await read_output(client) == b"x" * 40


async def test_an_encoded_output_is_decoded_and_its_length_unknown(
    service: FakeService, client: FunctionClient
) -> None:
    def encoded(handler: Handler) -> None:
        assert handler.headers["Accept-Encoding"] == "identity"
        body = gzip.compress(b"text" * 1000)
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    service.executions[E].end(r=b"")
    service.fault("output", encoded)
    async with client.output(E, "r") as stream:
        assert stream.length is None
        assert b"".join([piece async for piece in stream]) == b"text" * 1000


async def test_a_service_without_head_or_length(
    service: FakeService, client: FunctionClient
) -> None:
    service.executions[E].end(r=b"42" * 100_000)
    service.supports_head, service.tells_length = False, False
    assert await client.output_size(E, "r") is None
    assert await read_output(client) == b"42" * 100_000


async def test_a_log_without_offsets_comes_whole(
    service: FakeService, client: FunctionClient
) -> None:
    service.executions[E].log = "grün".encode()
    assert (await client.log(E, 2)).content == "ün".encode()
    service.supports_log_offset = False
    piece = await client.log(E, 2)
    assert (piece.offset, piece.content) == (0, "grün".encode())


@pytest.mark.parametrize(
    "document",
    [[], None, 1, "x", {}, {"id": 1}, {"id": "e"}, {"id": "e", "status": "flying"},
     {"id": "e", "status": "ended", "output": {}}, {"id": "e", "status": "ended", "output": [1]}],
)  # fmt: skip
async def test_documents_that_are_not_what_the_api_has(
    service: FakeService, client: FunctionClient, document: object
) -> None:
    service.fault("status", lambda handler: handler.json(document))
    with pytest.raises(errors.BadAnswer):
        await client.execution(E)


async def test_many_at_once(service: FakeService) -> None:
    service.executions[E] = FakeExecution(E)
    async with (
        FunctionClient("joe/tsp", endpoint=service.endpoint) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(200):
            nursery.start_soon(client.execution, E)
    assert service.count("status") == 200


# ── API keys ──────────────────────────────────────────────────────────────────────────────────


async def test_api_keys_are_made_and_taken_back(
    service: FakeService, client: FunctionClient
) -> None:
    made = await client.create_api_key("eve", max_memory=512, max_time=1.5, max_executions=2)
    assert made.name == "eve"
    assert (made.max_memory, made.max_time, made.max_executions) == (512, 1.5, 2)
    assert made.key == "apikey_eve"
    assert "apikey_eve" not in repr(made)
    with pytest.raises(errors.RequestRejected, match="taken"):
        await client.create_api_key("eve")
    await client.delete_api_key("eve")
    with pytest.raises(errors.ApiKeyUnknown):
        await client.delete_api_key("eve")
    for name in ["..", "", "a/b"]:
        with pytest.raises(errors.ApiKeyUnknown):
            await client.delete_api_key(name)


# ── Secrets and TLS ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def authority() -> trustme.CA:
    """Who signs the stub's certificate."""
    return trustme.CA()


@pytest.fixture
def https(root: Path, authority: trustme.CA) -> Iterator[HttpsService]:
    """The fake service over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with HttpsService(root / "unused", context) as service:
        yield service


def secure(https: HttpsService, ca_file: Path | None) -> FunctionClient:
    return FunctionClient(
        "joe/tsp", endpoint=https.endpoint, api_key=KEY, ca_file=ca_file, deadlines=PATIENT
    )


async def test_the_key_goes_over_tls_to_a_certificate_that_is_trusted(
    https: HttpsService, authority: trustme.CA, root: Path
) -> None:
    authority.cert_pem.write_to_path(root / "ca.pem")
    async with secure(https, root / "ca.pem") as client:
        await client.function()
        created = await client.create()
        await client.upload(created.id, "coords", b"x" * 3_000_000)
    assert https.executions[created.id].inputs["coords"] == b"x" * 3_000_000
    assert set(https.keys) == {f"Bearer {KEY}"}


async def test_a_wrong_ca_is_refused_before_the_key_is_sent(
    https: HttpsService, root: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(root / "other.pem")
    for ca_file in (root / "other.pem", None):
        async with secure(https, ca_file) as client:
            with trio.fail_after(BOUND), pytest.raises(errors.TlsFailure, match="certificate"):
                await client.function()
    assert https.requests == []


async def test_a_certificate_for_another_name_is_refused(root: Path, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    authority.cert_pem.write_to_path(root / "ca.pem")
    with HttpsService(root / "unused", context) as https:
        async with secure(https, root / "ca.pem") as client:
            with pytest.raises(errors.TlsFailure):
                await client.function()
        assert https.requests == []


@pytest.mark.parametrize("content", ["", "no certificate"])
def test_a_ca_file_that_is_none(root: Path, content: str) -> None:
    (root / "ca.pem").write_text(content)
    for path in (root / "ca.pem", root / "nowhere.pem"):
        with pytest.raises(errors.EndpointInvalid, match=str(path)):
            FunctionClient("joe/tsp", endpoint="https://localhost:1", ca_file=path)


# > it never goes to another host,
async def test_a_redirect_is_never_followed_and_the_key_stays_here(
    service: FakeService, root: Path
) -> None:
    with FakeService(root / "other.sock") as other:

        def elsewhere(handler: Handler) -> None:
            handler.send_response(307)
            handler.send_header("Location", "https://evil.example/joe/tsp")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        service.fault("function", elsewhere)
        async with FunctionClient("joe/tsp", endpoint=service.endpoint, api_key=KEY) as client:
            with pytest.raises(errors.RequestRejected, match=r"evil\.example.*never followed"):
                await client.function()
        assert other.requests == []


async def test_an_error_without_a_key_says_so(service: FakeService) -> None:
    service.fault("function", refuse(401, "who are you?"))
    async with FunctionClient("joe/tsp", endpoint=service.endpoint) as client:
        with pytest.raises(errors.AccessDenied, match="no API key was given"):
            await client.function()


async def test_a_message_of_the_service_cannot_forge_lines(
    service: FakeService, client: FunctionClient
) -> None:
    service.fault("function", refuse(403, "one\ntwo\r\x1b[31m" + "x" * 1000))
    with pytest.raises(errors.AccessDenied) as raised:
        await client.function()
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 400


# > nor over plain HTTP other than a Unix socket, or a loopback address by explicit choice.
def test_plain_http_is_for_this_machine_and_by_choice() -> None:
    for url in ("http://example.com", "http://localhost:8080", "http://192.168.1.1"):
        with pytest.raises(errors.EndpointInvalid):
            FunctionClient("joe/tsp", endpoint=url, api_key=KEY)
    with pytest.raises(errors.EndpointInvalid):
        Endpoint.parse("http://example.com", allow_plain_http=True)
    for url in ("http://localhost:8080", "http://127.0.0.1", "http://[::1]:3445"):
        assert str(Endpoint.parse(url, allow_plain_http=True)) == url


@pytest.mark.parametrize("name", ["tsp", "joe/", "/tsp", "", "joe/..", "../tsp"])
def test_names_that_no_function_has(name: str) -> None:
    with pytest.raises(errors.FunctionUnknown):
        FunctionClient(name, endpoint="unix:/nowhere", api_key=ApiKey(KEY))
