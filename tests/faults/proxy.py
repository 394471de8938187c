"""A proxy over TLS in front of a real server: sees every request, and fails as it is told.

What can go wrong with an answer is in `faults`; here is how a request comes in, whether it reaches
the server, and what connections do.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.fakeservice import ROUTES
from tests.faults.upstream import HOP, Answer, ask

Act = Callable[["Visit"], None]
"""What is done with a request in place of passing it on."""

LASTING = -1
"""In place of a number of times: until healed."""
TICK = 0.02
GOOD = "good"
"""The name of the certificate that is right."""


@dataclass
class Seen:
    """A request that reached the proxy."""

    call: str
    path: str
    code: int | None = None
    """What the server answered; None where the request did not reach it."""


@dataclass
class _Planned:
    act: Act
    times: int


class Proxy:
    """Listens on a port of 127.0.0.1; use as a context manager."""

    def __init__(
        self, upstream: Path, certificates: Mapping[str, ssl.SSLContext], elsewhere: int
    ) -> None:
        """`upstream` is the server's socket; `certificates` has one named `GOOD`; redirects lead to
        the port `elsewhere`.
        """
        self.upstream = upstream
        self.elsewhere = elsewhere
        self.requests: list[Seen] = []
        self.healed = threading.Event()
        """Replaced with every healing; set when it comes."""
        self._certificates = certificates
        self._lock = threading.Lock()
        self._planned: dict[str, _Planned] = {}
        self._certificate, self._handshakes = GOOD, 0
        self._connections: set[socket.socket] = set()
        self._wanted, self._listening = False, threading.Event()
        self._deaf, self._ended = threading.Event(), False
        self._holder = _bound(0)
        self.port: int = self._holder.getsockname()[1]

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        self.heal()
        return self

    def __exit__(self, *_: object) -> None:
        self.heal()
        self.refuse()
        self._ended = True
        self._holder.close()

    # ── What a test says ─────────────────────────────────────────────────────────────────────

    def fault(self, call: str, act: Act, times: int = LASTING) -> None:
        """Make a call fail, so many times."""
        with self._lock:
            self._planned[call] = _Planned(act, times)

    def show(self, certificate: str, times: int = LASTING) -> None:
        """Show another certificate in the next handshakes; there will be one."""
        self._certificate, self._handshakes = certificate, times
        self.cut()

    def refuse(self) -> None:
        """Refuse every connection. The port stays taken, by a socket that does not listen."""
        self._wanted = False
        assert self._deaf.wait(10)
        self.cut()

    def cut(self) -> None:
        """Close the connections there are; their clients find out."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):  # the method of an SSLSocket is for its own thread
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self._planned.clear()
        self._handshakes = 0
        self._wanted = True
        assert self._listening.wait(10)
        self.healed.set()
        self.healed = threading.Event()

    def seen(self, call: str, since: int = 0) -> list[Seen]:
        """The requests of one call, from the `since`th of all on."""
        return [request for request in self.requests[since:] if request.call == call]

    # ── What happens ─────────────────────────────────────────────────────────────────────────

    def planned(self, call: str) -> Act | None:
        """What is to be done with the next request of this call."""
        with self._lock:
            planned = self._planned.get(call)
            if planned is None or planned.times == 0:
                return None
            planned.times -= 1 if planned.times > 0 else 0
            return planned.act

    def _accept(self) -> None:
        """The only thread that listens: one that waits for a socket keeps it open."""
        while not self._ended:
            if self._wanted:
                self._listen()
            time.sleep(TICK)

    def _listen(self) -> None:
        with _bound(self.port) as listener:
            listener.listen(128)
            self._deaf.clear()
            self._listening.set()
            while self._wanted:
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        self._listening.clear()
        self._deaf.set()

    def _serve(self, connection: socket.socket) -> None:
        name = GOOD
        with self._lock:
            if self._handshakes != 0:
                name = self._certificate
                self._handshakes -= 1 if self._handshakes > 0 else 0
        with contextlib.suppress(OSError, ValueError):  # clients and tests cut connections
            connection.settimeout(60)
            tls = self._certificates[name].wrap_socket(connection, server_side=True)
            with self._lock:
                self._connections.add(tls)
            try:
                Visit(tls, ("127.0.0.1", 0), self)  # type: ignore[arg-type]  # it only keeps it
            finally:
                with self._lock:
                    self._connections.discard(tls)
                tls.close()
        connection.close()


def _bound(port: int) -> socket.socket:
    """A socket that has a port, which others may have, too; 0 is any free one."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    bound.settimeout(TICK)
    return bound


class Visit(BaseHTTPRequestHandler):
    """One connection and its requests."""

    protocol_version = "HTTP/1.1"
    server: Any  # the Proxy
    seen: Seen

    @property
    def proxy(self) -> Proxy:
        proxy: Proxy = self.server
        return proxy

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Silent."""

    def do_GET(self) -> None:
        call = which(self.command, self.path)
        self.seen = Seen(call, urlsplit(self.path).path)
        self.proxy.requests.append(self.seen)
        act = self.proxy.planned(call)
        if act is None:
            self.send(self.pass_on())
        else:
            act(self)

    do_POST = do_DELETE = do_HEAD = do_GET

    # ── For faults ───────────────────────────────────────────────────────────────────────────

    @property
    def length(self) -> int:
        """Of the request's body."""
        return int(self.headers.get("Content-Length") or 0)

    def pass_on(self) -> Answer:
        """Let the server act on the whole request."""
        body = self.rfile.read(self.length)
        if len(body) < self.length:
            raise ConnectionAbortedError
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
        answer = ask(self.proxy.upstream, self.command, self.path, headers, body)
        self.seen.code = answer.code
        return answer

    def send(self, answer: Answer) -> None:
        """Send an answer as it is."""
        length = dict(answer.headers).get("content-length") if self.command == "HEAD" else None
        self.wfile.write(answer.head(length) + answer.body)

    def hold(self) -> None:
        """Say nothing more until the fault is healed, then close."""
        self.proxy.healed.wait(60)
        self.close_connection = True

    def reset(self) -> None:
        """End the connection so that the client gets ECONNRESET."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()  # it holds the connection open
        self.connection.close()
        self.close_connection = True


def which(method: str, path: str) -> str:
    """The call that a request is."""
    url = urlsplit(path)
    for call, verb, pattern in ROUTES:
        if verb == method and re.fullmatch(pattern, url.path):
            logged = call == "status" and "include_log=false" not in url.query
            return "log" if logged else call
    return "unknown"
