"""A stand-in for the service, on a Unix socket: keeps what it is asked, and fails as it is told.

It follows the API's states, so that a mount on it behaves as on the real thing; a test can put an
execution into any state, and make any endpoint answer anything.
"""

from __future__ import annotations

import json
import re
import socket
import socketserver
import ssl
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Fault = Callable[["Handler"], None]

ROUTES = [
    ("function", "GET", r"/[^/]+/[^/]+"),
    ("create", "POST", r"/[^/]+/[^/]+/executions"),
    ("upload", "POST", r"/[^/]+/[^/]+/executions/(?P<e>[^/]+)/input/(?P<n>[^/]+)"),
    ("start", "POST", r"/[^/]+/[^/]+/executions/(?P<e>[^/]+)/start"),
    ("stop", "POST", r"/[^/]+/[^/]+/executions/(?P<e>[^/]+)/stop"),
    ("status", "GET", r"/[^/]+/[^/]+/executions/(?P<e>[^/]+)"),
    ("output", "GET", r"/[^/]+/[^/]+/executions/(?P<e>[^/]+)/output/(?P<n>[^/]+)"),
    ("size", "HEAD", r"/[^/]+/[^/]+/executions/(?P<e>[^/]+)/output/(?P<n>[^/]+)"),
    ("terminate", "DELETE", r"/[^/]+/[^/]+/executions/(?P<e>[^/]+)"),
    ("create_key", "POST", r"/[^/]+/[^/]+/api_keys"),
    ("delete_key", "DELETE", r"/[^/]+/[^/]+/api_keys/(?P<n>[^/]+)"),
]


@dataclass
class FakeExecution:
    """One execution, in whatever state a test wants."""

    id: str
    status: str = "pending"
    end_reason: str | None = None
    inputs: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, bytes] = field(default_factory=dict)
    log: bytes = b""
    extra: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "id": self.id,
            "func_author": "joe",
            "func_id": "tsp",
            "status": self.status,
            "end_reason": self.end_reason,
            **self.extra,
        }
        if self.status == "ended":
            document["output"] = [{"id": name, "path": name} for name in self.outputs]
        return document

    def end(self, reason: str = "normal", **outputs: bytes) -> None:
        self.outputs.update(outputs)
        self.end_reason = reason
        self.status = "ended"


class FakeService:
    """The service; use as a context manager."""

    def __init__(self, socket: Path, inputs: tuple[str, ...] | None = ("coords", "model")) -> None:
        self.socket = socket
        self.inputs = inputs
        self.executions: dict[str, FakeExecution] = {}
        self.requests: list[tuple[str, str]] = []
        """(endpoint, execution or input or output id) of every request, in order of arrival."""
        self.keys: list[str | None] = []
        """The Authorization header of each of them."""
        self.request_ids: list[str | None] = []
        """Their X-Request-ID."""
        self.accepted: str | None = None
        """The one key that is not refused, None: any is good."""
        self.api_keys: set[str] = set()
        self.connected = 0
        """Connections, ever."""
        self.supports_head = True
        self.supports_log_offset = True
        self.tells_length = True
        self.supports_ranges = False
        self.ranges: list[str] = []
        """The Range header of every request for a part of an output."""
        self.on_start: Callable[[FakeExecution], None] = lambda _: None
        self._faults: dict[str, deque[Fault]] = {}
        self._lasting: dict[str, Fault] = {}
        self._server: Server | None = None

    @property
    def endpoint(self) -> str:
        return f"unix:{self.socket}"

    def __enter__(self) -> FakeService:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Listen."""
        self._server = self._listen(type("BoundHandler", (Handler,), {"service": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def _listen(self, handler: type[Handler]) -> Server:
        return UnixServer(str(self.socket), handler)

    def down(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
            self.socket.unlink(missing_ok=True)

    def fault(self, endpoint: str, fault: Fault, *, times: int | None = None) -> None:
        """Make an endpoint fail: the next `times` requests, or until `heal`."""
        if times is None:
            self._lasting[endpoint] = fault
        else:
            self._faults.setdefault(endpoint, deque()).extend([fault] * times)

    def heal(self) -> None:
        """No more faults."""
        self._lasting.clear()
        self._faults.clear()

    def count(self, endpoint: str) -> int:
        return sum(1 for name, _ in self.requests if name == endpoint)

    def only(self) -> FakeExecution:
        """The one execution there is."""
        (execution,) = self.executions.values()
        return execution

    def next_fault(self, endpoint: str) -> Fault | None:
        queue = self._faults.get(endpoint)
        return queue.popleft() if queue else self._lasting.get(endpoint)


class HttpsService(FakeService):
    """The service over TLS, on a port of localhost."""

    def __init__(self, socket: Path, tls: ssl.SSLContext) -> None:
        super().__init__(socket)
        self.socket.touch()  # `down` removes it
        self._tls = tls
        self._port = 0

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self._port}"

    def _listen(self, handler: type[Handler]) -> Server:
        server = TcpServer(("127.0.0.1", self._port), handler)
        server.socket = self._tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._port = server.server_address[1]
        return server


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Remembers its connections."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: Any, handler: type[Handler]) -> None:
        self.connections: set[Any] = set()
        super().__init__(address, handler)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(2)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is part of the tests."""


class UnixServer(Server):
    """On a Unix socket."""

    address_family = socket.AF_UNIX


class TcpServer(Server):
    """On a port."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    service: FakeService

    def setup(self) -> None:
        super().setup()
        self.service.connected += 1
        self.server.connections.add(self.request)  # type: ignore[attr-defined]

    def finish(self) -> None:
        self.server.connections.discard(self.request)  # type: ignore[attr-defined]
        super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""

    def do_GET(self) -> None:
        self._route()

    do_POST = do_DELETE = do_HEAD = do_GET

    def _route(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        for endpoint, method, pattern in ROUTES:
            match = re.fullmatch(pattern, url.path)
            if match and method == self.command:
                names = {key: unquote(value) for key, value in match.groupdict().items()}
                label = names.get("n") or names.get("e") or ""
                if endpoint == "status" and self.query.get("include_log") != ["false"]:
                    endpoint = "log"
                self.service.requests.append((endpoint, label))
                self.service.keys.append(self.headers.get("Authorization"))
                self.service.request_ids.append(self.headers.get("X-Request-ID"))
                fault = self.service.next_fault(endpoint)
                if self.service.accepted not in (None, self._key()):
                    refuse(401, f"who is {self._key()}?")(self)
                elif fault is not None:
                    fault(self)
                else:
                    getattr(self, f"_{endpoint}")(**names)
                return
        self.fail(404, "no such route")

    def _key(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    # ── Endpoints ────────────────────────────────────────────────────────────────────────────

    def _function(self) -> None:
        document: dict[str, Any] = {"id": "tsp", "author": "joe"}
        if self.service.inputs is not None:
            document["input"] = [{"id": name, "path": name} for name in self.service.inputs]
        self.json(document)

    def _create(self) -> None:
        execution = FakeExecution(f"exec_{len(self.service.executions):016d}")
        self.service.executions[execution.id] = execution
        self.json(execution.document())

    def _find(self, e: str) -> FakeExecution | None:
        execution = self.service.executions.get(e)
        if execution is None:
            self.fail(404, f"no execution {e}")
        return execution

    def _upload(self, e: str, n: str) -> None:
        body = self._body()
        execution = self._find(e)
        if execution is None:
            return
        if self.service.inputs is not None and n not in self.service.inputs:
            self.fail(404, f"no input {n}")
        elif execution.status != "pending":
            self.fail(409, "not pending")
        else:
            execution.inputs[n] = body
            self.json({"id": n, "size": len(body)})

    def _start(self, e: str) -> None:
        execution = self._find(e)
        if execution is not None:
            if execution.status != "pending":
                self.fail(409, "not pending")
                return
            execution.status = "running"
            self.service.on_start(execution)
            self.json(execution.document())

    def _stop(self, e: str) -> None:
        execution = self._find(e)
        if execution is not None:
            if execution.status == "pending":
                self.fail(409, "not started")
                return
            if execution.status == "running":
                execution.end()
            self.json(execution.document())

    def _status(self, e: str) -> None:
        execution = self._find(e)
        if execution is not None:
            self.json(execution.document())

    def _log(self, e: str) -> None:
        execution = self._find(e)
        if execution is None:
            return
        document = execution.document()
        offset = int(self.query.get("log_offset", ["0"])[0])
        if self.service.supports_log_offset:
            document["log_offset"] = offset
        else:
            offset = 0
        document["log"] = execution.log[offset:].decode()
        self.json(document)

    def _output(self, e: str, n: str) -> None:
        execution = self._find(e)
        if execution is None:
            return
        if execution.status != "ended":
            self.fail(409, "not ended")
        elif n not in execution.outputs:
            self.fail(404, f"no output {n}")
        elif self.service.supports_ranges:
            self._part(execution.outputs[n])
        elif self.service.tells_length:
            self.raw(execution.outputs[n])
        else:
            self.chunked(execution.outputs[n])

    def _part(self, content: bytes) -> None:
        """The part that is asked for; all of it where that is of another output."""
        etag = f'"{zlib.crc32(content)}"'
        part = self.headers.get("Range")
        told = {"ETag": etag, "Accept-Ranges": "bytes"}
        if part is None or self.headers.get("If-Range") not in (None, etag):
            self.raw(content, headers=told)
            return
        self.service.ranges.append(part)
        first, last = map(int, part.removeprefix("bytes=").split("-"))
        told["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self.raw(content[first : last + 1], 206, headers=told)

    def _size(self, e: str, n: str) -> None:
        if self.service.supports_head:
            self._output(e, n)
        else:
            self.fail(405, "no HEAD here")

    def _terminate(self, e: str) -> None:
        execution = self._find(e)
        if execution is not None:
            del self.service.executions[e]
            self.json(execution.document())

    def _create_key(self) -> None:
        limits = {name: values[-1] for name, values in self.query.items()}
        name = limits.pop("key_name")
        if name in self.service.api_keys:
            self.fail(409, f"the name {name} is taken")
            return
        self.service.api_keys.add(name)
        numbers = {limit: float(value) for limit, value in limits.items()}
        if "max_executions" in limits:
            numbers["max_executions"] = int(limits["max_executions"])
        self.json({"name": name, "key": f"apikey_{name}", **numbers})

    def _delete_key(self, n: str) -> None:
        if n not in self.service.api_keys:
            self.fail(404, f"no key {n}")
            return
        self.service.api_keys.remove(n)
        self.json({"name": n})

    # ── Answers ──────────────────────────────────────────────────────────────────────────────

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def json(self, document: object, code: int = 200) -> None:
        self.raw(json.dumps(document).encode(), code, "application/json")

    def fail(self, code: int, message: str) -> None:
        self.json({"errorMessage": message}, code)

    def raw(
        self,
        body: bytes,
        code: int = 200,
        kind: str = "application/octet-stream",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunked(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command != "HEAD":
            for start in range(0, len(body), 65536):
                piece = body[start : start + 65536]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")


# ── Faults ────────────────────────────────────────────────────────────────────────────────────


def refuse(code: int, message: str = "told to") -> Fault:
    """Answer an error, after reading what was sent."""

    def fault(handler: Handler) -> None:
        handler._body()
        handler.fail(code, message)

    return fault


def hang(release: threading.Event, limit: float = 60.0) -> Fault:
    """Answer nothing until released, then cut the connection."""

    def fault(handler: Handler) -> None:
        release.wait(limit)
        handler.close_connection = True

    return fault


def delayed(release: threading.Event, limit: float = 60.0) -> Fault:
    """Answer as usual, once released."""

    def fault(handler: Handler) -> None:
        release.wait(limit)
        handler.service.heal()
        handler.service.requests.pop()
        handler._route()

    return fault


def reset(handler: Handler) -> None:
    """Cut the connection without an answer."""
    handler.close_connection = True


def garbage(handler: Handler) -> None:
    """Answer what is no JSON."""
    handler._body()
    handler.raw(b"<html>surprise</html>", kind="text/html")


def short(body: bytes, promised: int) -> Fault:
    """Promise more than is sent."""

    def fault(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(promised))
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()
        handler.close_connection = True

    return fault


def dribble(body: bytes, release: threading.Event, first: int) -> Fault:
    """Send the first bytes at once and the rest when released."""

    def fault(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:first])
        handler.wfile.flush()
        release.wait(60)
        handler.wfile.write(body[first:])

    return fault


def until(
    condition: Callable[[], Any], deadline: float = 20.0, what: str = "", pause: float = 0.02
) -> Any:
    """Poll until `condition()` is true; its value. Fails after the deadline."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {deadline} s: {what or condition}"
        time.sleep(pause)
