"""HTTPS: what real clients make of it, what else arrives on the port, and the end of a server."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import struct
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from starlette.types import ASGIApp, Receive, Scope, Send

from pifopfs.api import FunctionClient
from pifopfs.errors import TlsFailure
from pifopfs.machine import BUBBLEWRAP
from pifopfs.server import lingering, tcp
from pifopfs.server.catalog import Root
from pifopfs.server.executions import Settings
from pifopfs.server.gate import KeyGate
from pifopfs.server.http import Door, listen
from pifopfs.server.keys import Keys, master_key
from pifopfs.server.routes import make_app
from pifopfs.server.serving import open_server
from pifopfs.server.tls import own_certificate
from tests.contract.conftest import eventually
from tests.functions import write_function

FUNCTION = {"id": "fn", "author": "joe", "input": [], "output": []}
PIECE = b"x" * 65536
HANDSHAKE_TIME = 0.5
KEPT_BY_CLIENTS = 5.0
"""Seconds for which clients keep an idle connection, as they come."""


@dataclass
class Service:
    """A small application over TLS on a port of localhost, which answers as a function's server.

    /endless sends until `release`, then its end; /waiting answers then; /upload counts what comes;
    /refusing answers 401, whatever comes.
    """

    root: Path
    grace: float = 10.0
    served: ASGIApp | None = None
    """Another application in its place."""
    port: int = 0
    ready: trio.Event = field(default_factory=trio.Event)
    told: trio.Event = field(default_factory=trio.Event)
    hurry: trio.Event = field(default_factory=trio.Event)
    over: trio.Event = field(default_factory=trio.Event)
    release: trio.Event = field(default_factory=trio.Event)
    calls: list[str] = field(default_factory=list)
    taken: int = 0
    streams: list[trio.abc.AsyncResource] = field(default_factory=list)
    """Connections of tests, which the end closes."""

    @property
    def ca_file(self) -> Path:
        return self.root / "tls" / "cert.pem"

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}"

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        listeners = tcp.bind(("127.0.0.1", "::1"), 0, optional=("::1",))
        self.port = listeners[0].getsockname()[1]
        accept = partial(
            tcp.accept,
            listeners,
            own_certificate(self.root / "tls").context(),
            handshake_time=HANDSHAKE_TIME,
        )
        await listen(
            [Door(self.served or self.app, accept)],
            self.told.wait,
            grace=self.grace,
            hurry=self.hurry.wait,
            task_status=task_status,
        )
        self.over.set()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.calls.append(path)
        body = json.dumps(FUNCTION).encode()
        headers = [(b"content-type", b"application/json")]
        if path == "/upload":
            while (message := await receive()).get("more_body"):
                self.taken += len(message["body"])
        if path == "/waiting":
            await self.release.wait()
        if path != "/endless":
            headers.append((b"content-length", str(len(body)).encode()))
        status = 401 if path == "/refusing" else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        while path == "/endless" and not self.release.is_set():
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            await trio.sleep(0.01)
        await send({"type": "http.response.body", "body": body})

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.endpoint, verify=self.context(), trust_env=False, timeout=10
        )

    async def plain(self) -> trio.SocketStream:
        """A connection."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        self.streams.append(stream)
        return stream

    async def secured(
        self, context: ssl.SSLContext | None = None
    ) -> trio.SSLStream[trio.SocketStream]:
        """A connection whose handshake is done."""
        stream = trio.SSLStream(
            await self.plain(),
            context or self.context(),
            server_hostname="localhost",
            https_compatible=True,
        )
        await stream.do_handshake()
        return stream

    async def end(self) -> None:
        """At once."""
        self.told.set()
        self.hurry.set()
        with trio.fail_after(10):
            await self.over.wait()
        for stream in self.streams:
            await trio.aclose_forcefully(stream)


@pytest.fixture
async def https(root: Path, nursery: trio.Nursery) -> AsyncIterator[Service]:
    service = Service(root)
    await nursery.start(service.run)
    yield service
    await service.end()


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Until the connection ends, however it does."""
    pieces = []
    with trio.fail_after(10):
        try:
            while piece := await stream.receive_some(65536):
                pieces.append(bytes(piece))
        except trio.BrokenResourceError:
            pass
    return b"".join(pieces)


async def output(*command: str) -> str:
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    result = await trio.run_process(
        command, capture_stdout=True, capture_stderr=True, check=False, env=env
    )
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


# ── Clients ───────────────────────────────────────────────────────────────────────────────────


async def test_the_servers_own_certificate_is_what_a_client_has_to_trust(https: Service) -> None:
    async with FunctionClient("joe/fn", endpoint=https.endpoint, ca_file=https.ca_file) as client:
        assert (await client.function()).id == "fn"
    for host in ("127.0.0.1", "[::1]"):
        async with httpx.AsyncClient(verify=https.context(), trust_env=False) as http:
            answer = await http.get(f"https://{host}:{https.port}/joe/fn")
            assert answer.json() == FUNCTION


async def test_a_client_that_does_not_trust_it_sends_nothing(https: Service) -> None:
    async with FunctionClient("joe/fn", endpoint=https.endpoint, api_key="secret") as client:
        with pytest.raises(TlsFailure):
            await client.function()
    assert https.calls == []


async def test_a_whole_job_runs_over_TLS_with_a_key(root: Path, nursery: trio.Nursery) -> None:
    write_function(root / "fns" / "joe" / "fn", "tr a-z A-Z < a.txt > r.txt")
    catalog = Root(root / "fns")
    async with open_server(catalog, root / "state", Settings(), isolation=BUBBLEWRAP) as server:
        keys = Keys(server.store, root / "state")
        keys.ensure_masters(catalog.names())
        https = Service(root, served=make_app(server.executions, KeyGate(keys, trusted=False)))
        await nursery.start(https.run)
        async with https.http() as http:
            made = await http.post("/joe/fn/executions")
            assert made.status_code == 401
            http.headers["Authorization"] = f"Bearer {master_key(root / 'state', 'joe', 'fn')}"
            made = await http.post("/joe/fn/executions")
            one = f"/joe/fn/executions/{made.json()['id']}"
            sent = b"x" * 5_000_000
            assert (await http.post(f"{one}/input/a", content=sent)).status_code == 200
            assert (await http.post(f"{one}/start")).status_code == 200

            async def ended() -> bool:
                return bool((await http.get(one)).json()["status"] == "ended")

            await eventually(ended)
            assert (await http.get(f"{one}/output/r")).content == sent.upper()
        await https.end()


async def test_curl_takes_it_as_cacert(https: Service) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]"):
        url = f"https://{host}:{https.port}/joe/fn"
        said = await output("curl", "-sS", "-m", "10", "--cacert", str(https.ca_file), url)
        assert json.loads(said) == FUNCTION


async def test_node_takes_it_as_ca(https: Service) -> None:
    script = """
        const [url, ca] = process.argv.slice(1);
        require('https').get(url, {ca: require('fs').readFileSync(ca)}, (answer) => {
            answer.on('data', (piece) => process.stdout.write(piece));
        });
    """
    said = await output("node", "-e", script, f"{https.endpoint}/joe/fn", str(https.ca_file))
    assert json.loads(said) == FUNCTION


async def test_only_TLS_1_2_and_1_3_are_spoken(https: Service) -> None:
    spoken = {}
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = https.context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.1
            context.minimum_version = context.maximum_version = version
        try:
            await https.secured(context)
            spoken[version.name] = True
        except trio.BrokenResourceError:
            spoken[version.name] = False
    assert spoken == {"TLSv1_1": False, "TLSv1_2": True, "TLSv1_3": True}


async def test_a_client_that_offers_http_2_gets_http_1_1(https: Service) -> None:
    context = https.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    stream = await https.secured(context)
    assert stream.selected_alpn_protocol() == "http/1.1"


async def test_regression_an_idle_connection_is_kept_for_longer_than_clients_keep_theirs(
    https: Service,
) -> None:
    """It was closed after five seconds, as those of httpx and node: a request then met its end."""
    stream = await https.secured()
    for _ in range(2):
        await stream.send_all(b"GET /joe/fn HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            piece = await stream.receive_some(10_000)
            assert piece
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200")
        await trio.sleep(KEPT_BY_CLIENTS + 0.5)


# ── What else arrives ─────────────────────────────────────────────────────────────────────────


async def test_plain_HTTP_is_told_to_use_https_and_nothing_is_done(https: Service) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        for method, body in (("GET", b""), ("POST", b"x" * 3_000_000)):
            answer = await http.request(method, f"http://127.0.0.1:{https.port}/x", content=body)
            assert answer.status_code == 400
            assert answer.json() == {"errorMessage": "this server speaks HTTPS only: use https://"}
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert answer.headers["Connection"] == "close"
    assert https.calls == []


async def test_an_error_without_a_body_has_one_over_TLS_too(https: Service) -> None:
    stream = await https.secured()
    await stream.send_all(b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 100_000 + b"\r\n\r\n")
    head, _, body = (await read_all(stream)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 4")
    assert b"access-control-allow-origin: *" in head
    assert "errorMessage" in json.loads(body)
    assert https.calls == []


async def test_regression_an_upload_that_is_refused_on_its_way_has_its_answer(
    https: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connection was reset, and the client had no answer."""

    async def chunked() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield PIECE

    async with https.http() as http:
        for content in (b"x" * 50_000_000, chunked(), b"x" * 200_000):
            answer = await http.post("/refusing", content=content)
            assert (answer.status_code, answer.json()) == (401, FUNCTION)
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_refused_upload_that_stalls_is_let_go(
    https: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "STALL", 0.2)
    stream = await https.secured()
    await stream.send_all(b"POST /refusing HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\nx")
    assert (await read_all(stream)).startswith(b"HTTP/1.1 401")
    https.told.set()
    with trio.fail_after(3):
        await https.over.wait()


async def reset(stream: trio.SocketStream) -> None:
    """Cut the connection, as a client does that is killed with bytes unread."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


HELLO = b"\x16\x03\x01\x02\x00\x01"
"""The beginning of a handshake."""


@pytest.mark.parametrize(
    "said", [b"", HELLO, b"\x16" * 1000, b"\x80\x2e\x01", b"\x00", b"GET ", HELLO + b"\xff" * 4000]
)
@pytest.mark.parametrize("end", ["reset", "close", "stay"])
async def test_a_client_that_shakes_no_hands_is_dropped_and_affects_nobody(
    https: Service, caplog: pytest.LogCaptureFixture, said: bytes, end: str
) -> None:
    stream = await https.plain()
    if said:
        await stream.send_all(said)
    async with https.http() as http:
        assert (await http.get("/joe/fn")).json() == FUNCTION
        if end == "stay":
            began = trio.current_time()
            await read_all(stream)
            assert trio.current_time() - began < HANDSHAKE_TIME + 3
        else:
            await (reset(stream) if end == "reset" else stream.aclose())
        assert (await http.get("/joe/fn")).json() == FUNCTION
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_clients_that_go_away_or_never_read_affect_nobody(
    https: Service, caplog: pytest.LogCaptureFixture
) -> None:
    request = b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n"
    streams = [await https.secured() for _ in range(6)]
    for stream in streams:
        await stream.send_all(request)
    await eventually(lambda: _true(https.calls.count("/endless") == 6))
    await reset(streams[0].transport_stream)
    await streams[1].aclose()
    await streams[2].transport_stream.send_eof()
    await streams[3].transport_stream.send_all(b"this is no TLS record at all")
    async with https.http() as http:
        for _ in range(20):
            assert (await http.get("/joe/fn")).json() == FUNCTION
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def _true(value: bool) -> bool:
    return value


# ── The end ───────────────────────────────────────────────────────────────────────────────────


async def refused(https: Service) -> bool:
    """Whether nobody listens any more."""
    try:
        await (await https.plain()).aclose()
    except OSError:
        return True
    return False


async def test_at_the_end_listeners_and_idle_connections_close_at_once(https: Service) -> None:
    idle, fresh = await https.secured(), await https.secured()
    await idle.send_all(b"GET /joe/fn HTTP/1.1\r\nhost: x\r\n\r\n")
    assert (await idle.receive_some(1000)).startswith(b"HTTP/1.1 200")
    https.told.set()
    with trio.fail_after(3):
        await read_all(idle)
        await read_all(fresh)
        await https.over.wait()
    assert await refused(https)


async def test_at_the_end_requests_under_way_are_finished(
    https: Service, nursery: trio.Nursery
) -> None:
    answers: dict[str, httpx.Response] = {}
    more = trio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield PIECE
        await more.wait()
        for _ in range(100):
            yield PIECE

    async def ask(path: str, content: AsyncIterator[bytes] | None = None) -> None:
        async with https.http() as http:
            answers[path] = await http.post(path, content=content)

    async with trio.open_nursery() as asking:
        for path in ("/endless", "/waiting"):
            asking.start_soon(ask, path)
        asking.start_soon(ask, "/upload", body())
        await eventually(lambda: _true(len(https.calls) == 3 and https.taken >= len(PIECE)))
        https.told.set()
        await eventually(lambda: refused(https))
        assert not https.over.is_set()
        more.set()
        await eventually(lambda: _true("/upload" in answers))
        assert not https.over.is_set()
        https.release.set()
    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/endless": 200, "/waiting": 200, "/upload": 200
    }  # fmt: skip
    assert answers["/endless"].content.endswith(json.dumps(FUNCTION).encode())
    assert https.taken == 101 * len(PIECE)
    with trio.fail_after(3):
        await https.over.wait()


async def ask_and_be_cut(https: Service) -> None:
    """A download that the server's end cuts in the middle."""
    with pytest.raises(httpx.TransportError):
        async with https.http() as http:
            await http.get("/endless")


async def test_after_its_patience_or_when_told_again_the_server_cuts_what_is_under_way(
    root: Path,
) -> None:
    for grace, hurried in ((0.3, False), (60.0, True)):
        https = Service(root, grace)
        async with trio.open_nursery() as nursery:
            await nursery.start(https.run)
            nursery.start_soon(ask_and_be_cut, https)
            stuck = await https.secured()  # it never reads: the server cannot send
            await stuck.send_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
            await eventually(lambda https=https: _true(https.calls.count("/endless") == 2))
            https.told.set()
            with trio.move_on_after(0.1):
                await https.over.wait()
            assert not https.over.is_set()
            if hurried:
                https.hurry.set()
            with trio.fail_after(5):
                await https.over.wait()
        await https.end()
