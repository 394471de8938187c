"""Listening TCP sockets, and what is spoken on them: TLS, and nothing else."""

from __future__ import annotations

import errno
import json
import logging
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from pifopfs.errors import ServerNotStarted
from pifopfs.server.secured import TlsStream

log = logging.getLogger(__name__)

BACKLOG = 1024
ATTEMPTS = 20
"""At finding a port that is free on every address."""
HANDSHAKE_TIME = 10.0
"""Seconds from a connection to the end of its TLS handshake."""
DRAIN_TIME = 1.0

TLS_RECORD = b"\x16"
"""The first byte of every TLS connection, and of no request in plain HTTP."""

PLAIN = json.dumps({"errorMessage": "this server speaks HTTPS only: use https://"}).encode()
PLAIN_REFUSED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n%b" % (len(PLAIN), PLAIN)
)

Serve = Callable[[TlsStream], Awaitable[object]]


def bind(hosts: Sequence[str], port: int, optional: Sequence[str] = ()) -> list[socket.socket]:
    """Listening sockets on these addresses, all with the same port; 0 is any free one.

    Those in `optional` may be unavailable on this machine. Raises ServerNotStarted.
    """
    for attempt in range(ATTEMPTS):
        listeners: list[socket.socket] = []
        chosen = port
        try:
            for host in hosts:
                listener = _listener(host, chosen, host in optional)
                if listener is not None:
                    listeners.append(listener)
                    chosen = listener.getsockname()[1]
        except OSError as error:
            for listener in listeners:
                listener.close()
            if port == 0 and error.errno == errno.EADDRINUSE and attempt < ATTEMPTS - 1:
                continue
            raise _failure(host, chosen, error) from error
        return listeners
    raise AssertionError  # the last attempt returns or raises


def _listener(host: str, port: int, optional: bool) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        if not optional:
            raise
        log.warning("this machine has no %s", host)
        return None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if not optional or error.errno != errno.EADDRNOTAVAIL:
            raise
        log.warning("this machine has no %s", host)
        return None
    return listener


def _failure(host: str, port: int, error: OSError) -> ServerNotStarted:
    mend = {
        errno.EADDRINUSE: "end the server that listens there, or name another --port",
        errno.EACCES: "ports below 1024 are for root: name another --port",
        errno.EADDRNOTAVAIL: "it is no address of this machine: name another --host",
    }.get(error.errno or 0, "name another --host or --port")
    return ServerNotStarted(f"cannot listen on {host}, port {port}: {error.strerror}; {mend}")


async def accept(
    listeners: Sequence[socket.socket],
    context: ssl.SSLContext,
    serve: Serve,
    handlers: trio.Nursery,
    *,
    handshake_time: float = HANDSHAKE_TIME,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Have `serve` called in `handlers` for every TLS connection, until cancelled."""
    sockets = [trio.socket.from_stdlib_socket(listener) for listener in listeners]
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    welcome = _Welcome(context, serve, handshake_time, descriptors)
    await trio.serve_listeners(
        welcome,
        [trio.SocketListener(listener) for listener in sockets],
        handler_nursery=handlers,
        task_status=task_status,  # type: ignore[arg-type]  # it tells more than is asked for
    )


class _Welcome:
    """Takes connections, as many as leave descriptors for what runs; closes the others at once."""

    def __init__(
        self, context: ssl.SSLContext, serve: Serve, handshake_time: float, descriptors: int
    ) -> None:
        self._context = context
        self._serve = serve
        self._handshake_time = handshake_time
        self._strangers = _Places(max(1, descriptors // 8))
        """Before the end of their handshake, which costs a client nothing."""
        self._guests = _Places(max(1, descriptors // 3))

    async def __call__(self, stream: trio.SocketStream) -> None:
        with self._strangers.taken() as free:
            secured = await self._shaken(stream) if free else None
        if secured is not None:
            with self._guests.taken() as free:
                if free:
                    await self._serve(secured)

    async def _shaken(self, stream: trio.SocketStream) -> TlsStream | None:
        """The connection after its handshake; None where there was none."""
        secured = TlsStream(stream, self._context)
        try:
            with trio.move_on_after(self._handshake_time):
                first = await stream.socket.recv(1, socket.MSG_PEEK)
                if first == TLS_RECORD:
                    await secured.do_handshake()
                    return secured
                if first:
                    await _refuse_plain(stream)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            log.debug("no TLS with a client: %r", error.__cause__ or error)
        return None


class _Places:
    """A number of places."""

    def __init__(self, number: int) -> None:
        self._left = number

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Whether there was one; it is taken while the block runs."""
        free = self._left > 0
        self._left -= free
        try:
            yield free
        finally:
            self._left += free


async def _refuse_plain(stream: trio.SocketStream) -> None:
    """The client reads the answer only when it is rid of its request."""
    await stream.send_all(PLAIN_REFUSED)
    await stream.send_eof()
    with trio.move_on_after(DRAIN_TIME):
        while await stream.receive_some():
            pass
