"""HTTP: Hypercorn's protocol over connections that are accepted here, on any kind of socket.

Hypercorn's own accept loop lets an exception in one connection end the whole server (its issue
203: a client that goes away at the wrong moment is enough). Here a connection fails alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app
from starlette.types import ASGIApp

from pifopfs.server.identified import Identified
from pifopfs.server.lingering import KEY, Arrival, Watched, take_rest
from pifopfs.server.secured import TlsStream
from pifopfs.server.sockets import accept

log = logging.getLogger(__name__)

GRACE = 3.0
"""Seconds for requests under way when the server ends."""

KEEPALIVE = 15.0
"""Seconds for which an idle connection is kept: more than httpx and node do (5), or a request of
theirs could meet its end.
"""

Stream = trio.SocketStream | TlsStream

BODY_UNIT, HEAD_UNIT = 1 << 18, 1 << 14
"""Bytes that are received at once."""

NO_BODY = b"content-length: 0\r\n"


@dataclass(frozen=True, slots=True)
class Door:
    """Where connections come in, and the application that answers their requests."""

    app: ASGIApp
    accept: Callable[..., Awaitable[None]]
    """`accept(serve, handlers, task_status=…)` has `serve` called for each connection, in the
    nursery `handlers`, until cancelled. Raises ServerNotStarted.
    """


def unix_door(
    app: ASGIApp, paths: Path | Sequence[Path], told: Callable[[Path], None] = lambda _: None
) -> Door:
    """A Unix socket; see `sockets.accept` for `paths` and `told`."""
    places = [paths] if isinstance(paths, Path) else paths
    return Door(app, partial(accept, places, told=told))


async def listen(
    doors: Sequence[Door],
    until: Callable[[], Awaitable[None]],
    *,
    grace: float = GRACE,
    hurry: Callable[[], Awaitable[None]] = trio.sleep_forever,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests until `until` returns.

    Then requests under way may be finished, for `grace` seconds, or until `hurry` returns. Raises
    ServerNotStarted.
    """
    everything = [(door, _Connections(door.app)) for door in doors]
    async with trio.open_nursery() as open_ones:
        async with trio.open_nursery() as accepting:
            for door, connections in everything:
                await accepting.start(partial(door.accept, connections.serve, open_ones))
            task_status.started()
            await until()
            accepting.cancel_scope.cancel()
        with trio.move_on_after(grace):
            await _end([connections for _, connections in everything], hurry)
        open_ones.cancel_scope.cancel()
        for _, connections in everything:
            connections.cut()


async def _end(everything: Sequence[_Connections], hurry: Callable[[], Awaitable[None]]) -> None:
    """Return when all connections have ended, or `hurry` does."""
    async with trio.open_nursery() as race:

        async def hurried() -> None:
            await hurry()
            race.cancel_scope.cancel()

        race.start_soon(hurried)
        async with trio.open_nursery() as ending:
            for connections in everything:
                ending.start_soon(connections.end)
        race.cancel_scope.cancel()


class _Connections:
    """Serves connections, each on its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = wrap_app(cast("ASGIFramework", Watched(Identified(app))), 0, "asgi")
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.keep_alive_timeout = KEEPALIVE
        self._config.include_server_header = False
        self._config.accesslog = None
        self._config.errorlog = logging.getLogger("hypercorn")
        self._open: set[Stream] = set()
        self._ending = trio.Event()
        self._all_closed = trio.Event()

    async def serve(self, stream: Stream) -> None:
        self._open.add(stream)
        arrival = Arrival(server_ends=self._ending)
        connection = _Stream(stream, arrival)
        try:
            await TCPServer(
                self._app,
                self._config,
                self._context,
                ConnectionState({KEY: arrival}),
                connection,  # type: ignore[arg-type]  # it takes plain streams as well
            )
            await connection.take_rest()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            log.debug("a client has gone")
        except* Exception as group:  # noqa: BLE001  # whatever it is, it is this connection's
            log.warning("a connection failed: %r", group.exceptions)
        finally:
            connection.let_go()
            self._open.remove(stream)
            if not self._open:
                self._all_closed.set()

    async def end(self) -> None:
        """Idle connections close now, the others after their answer; returns when all have."""
        self._ending.set()
        await self._context.terminated.set()
        while self._open:
            self._all_closed = trio.Event()
            await self._all_closed.wait()

    def cut(self) -> None:
        """Close what is open. Hypercorn shields its sends: a client that has stopped reading would
        keep even a cancelled connection open.
        """
        for stream in self._open:
            _socket(stream).close()


class _Stream:
    """A connection on which Hypercorn's own errors (of a request that is no HTTP) have the body
    that every error has, and whose client reads its answer also when it is still sending.
    """

    def __init__(self, stream: Stream, arrival: Arrival) -> None:
        self._stream = stream
        self._arrival = arrival
        self._head = b""
        """Of an answer: it is sent with the beginning of the body."""
        self._kept: trio.socket.SocketType | None = None
        """The connection, which is not to be reset by its closing."""
        self.socket = _socket(stream)

    async def receive_some(self, _: int) -> bytes:
        """Of a body more at a time than Hypercorn asks for, and of a head less: how long one may
        be is only looked at while it is not complete.
        """
        unit = BODY_UNIT if self._arrival.unfinished else HEAD_UNIT
        return bytes(await self._stream.receive_some(unit))

    async def aclose(self) -> None:
        if self._arrival.unfinished and self._kept is None:
            with contextlib.suppress(OSError):  # the client has gone, or no descriptor is left
                self._kept = self.socket.dup()
                self.socket.shutdown(trio.socket.SHUT_WR)
        await self._stream.aclose()

    async def take_rest(self) -> None:
        """After the end: let the client come to read its answer."""
        if self._kept is not None:
            await take_rest(self._kept)

    def let_go(self) -> None:
        """The connection is no longer needed."""
        if self._kept is not None:
            self._kept.close()

    async def send_eof(self) -> None:
        """TLS has none of its own."""
        if isinstance(self._stream, trio.SocketStream):
            await self._stream.send_eof()

    async def send_all(self, data: bytes) -> None:
        if self._arrival.head:
            self._arrival.head = False
            self._head = data
            return
        whole, self._head = self._head + data if self._head else data, b""
        if not self._arrival.answering:
            whole = with_body(data)
            if whole is not data:  # what came is not understood: nor is where it ends
                self._arrival.unfinished = True
        if whole:
            await self._stream.send_all(whole)


def _socket(stream: Stream) -> trio.socket.SocketType:
    transport = stream if isinstance(stream, trio.SocketStream) else stream.transport_stream
    return transport.socket


def with_body(data: bytes) -> bytes:
    """The head of an error without a body, with one; anything else as it is."""
    if not data.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")) or NO_BODY not in data:
        return data
    reason = HTTPStatus(int(data[9:12])).phrase
    body = json.dumps({"errorMessage": f"the request failed: {reason}"}).encode()
    head = (
        "access-control-allow-origin: *\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
    ).encode()
    return data.replace(NO_BODY, head, 1) + body
