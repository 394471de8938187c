"""HTTP on a Unix socket: Hypercorn's protocol over connections that are accepted here.

Hypercorn's own accept loop lets an exception in one connection end the whole server (its issue
203: a client that goes away at the wrong moment is enough). Here a connection fails alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
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
from starlette.applications import Starlette

from pifopfs.server.sockets import accept

log = logging.getLogger(__name__)

GRACE = 3.0
"""Seconds for requests under way when the server ends."""

NO_BODY = b"content-length: 0\r\n"


async def listen(
    app: Starlette,
    paths: Path | Sequence[Path],
    until: Callable[[], Awaitable[None]],
    told: Callable[[Path], None] = lambda _: None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests on a Unix socket until `until` returns; see `accept` for `paths` and `told`.

    Raises ServerNotStarted.
    """
    connections = _Connections(app)
    places = [paths] if isinstance(paths, Path) else paths
    async with trio.open_nursery() as open_ones:
        async with trio.open_nursery() as accepting:
            door = partial(accept, places, connections.serve, open_ones, told)
            await accepting.start(door)
            task_status.started()
            await until()
            accepting.cancel_scope.cancel()
        with trio.move_on_after(GRACE):
            await connections.end()
        open_ones.cancel_scope.cancel()
        connections.cut()


class _Connections:
    """Serves connections, each on its own."""

    def __init__(self, app: Starlette) -> None:
        self._app = wrap_app(cast("ASGIFramework", app), 0, "asgi")
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.include_server_header = False
        self._config.accesslog = None
        self._config.errorlog = logging.getLogger("hypercorn")
        self._open: set[trio.SocketStream] = set()
        self._all_closed = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        self._open.add(stream)
        try:
            await TCPServer(
                self._app,
                self._config,
                self._context,
                ConnectionState({}),
                _Stream(stream),  # type: ignore[arg-type]  # it takes plain streams as well
            )
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
            log.debug("a client has gone")
        except* Exception as group:  # noqa: BLE001  # whatever it is, it is this connection's
            log.warning("a connection failed: %r", group.exceptions)
        finally:
            self._open.remove(stream)
            if not self._open:
                self._all_closed.set()

    async def end(self) -> None:
        """Idle connections close now, the others after their answer; returns when all have."""
        await self._context.terminated.set()
        while self._open:
            self._all_closed = trio.Event()
            await self._all_closed.wait()

    def cut(self) -> None:
        """Close what is open. Hypercorn shields its sends: a client that has stopped reading would
        keep even a cancelled connection open.
        """
        for stream in self._open:
            stream.socket.close()


class _Stream:
    """A connection on which Hypercorn's own errors (of a request that is no HTTP) have the body
    that every error has.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket
        self.receive_some = stream.receive_some
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose

    async def send_all(self, data: bytes) -> None:
        await self._stream.send_all(with_body(data))


def with_body(data: bytes) -> bytes:
    """The head of an error without a body, with one; anything else as it is."""
    if not data.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")) or NO_BODY not in data:
        return data
    reason = HTTPStatus(int(data[9:12])).phrase
    body = json.dumps({"errorMessage": f"the request failed: {reason}"}).encode()
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n".encode()
    return data.replace(NO_BODY, head, 1) + body
