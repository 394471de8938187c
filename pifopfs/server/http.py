"""HTTP on a Unix socket: Hypercorn's protocol over connections that are accepted here.

Hypercorn's own accept loop lets an exception in one connection end the whole server (its issue
203: a client that goes away at the wrong moment is enough). Here a connection fails alone.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app
from starlette.applications import Starlette

from pifopfs.errors import ServerNotStarted
from pifopfs.machine import check_socket_path

log = logging.getLogger(__name__)

BACKLOG = 128
GRACE = 3.0
"""Seconds for requests under way when the server ends."""


async def listen(
    app: Starlette,
    path: Path,
    until: Callable[[], Awaitable[None]],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests on the Unix socket `path` until `until` returns. Raises ServerNotStarted."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(bind(path)))
    connections = _Connections(app)
    try:
        async with trio.open_nursery() as open_ones:
            async with trio.open_nursery() as accepting:
                accept = partial(trio.serve_listeners, handler_nursery=open_ones)
                await accepting.start(accept, connections.serve, [listener])
                task_status.started()
                await until()
                accepting.cancel_scope.cancel()
            await connections.end()
            open_ones.cancel_scope.deadline = trio.current_time() + GRACE
    finally:
        remove(path)


class _Connections:
    """Serves connections, each on its own."""

    def __init__(self, app: Starlette) -> None:
        self._app = wrap_app(cast("ASGIFramework", app), 0, "asgi")
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.include_server_header = False
        self._config.accesslog = None
        self._config.errorlog = logging.getLogger("hypercorn")

    async def serve(self, stream: trio.SocketStream) -> None:
        try:
            await TCPServer(
                self._app,
                self._config,
                self._context,
                ConnectionState({}),
                stream,  # type: ignore[arg-type]  # it takes plain streams as well
            )
        except* Exception as group:  # noqa: BLE001  # whatever it is, it is this connection's
            log.warning("a connection failed: %r", group.exceptions)

    async def end(self) -> None:
        """Idle connections close now, the others after their answer."""
        await self._context.terminated.set()


def bind(path: Path) -> socket.socket:
    """A listening Unix socket that only this user can reach. Raises ServerNotStarted."""
    check_socket_path(path)
    if _answers(path):
        raise ServerNotStarted(f"another server listens on {path}; end it, or name another socket")
    remove(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServerNotStarted(f"cannot listen on {path}: {error.strerror}") from error
    return listener


def remove(path: Path) -> None:
    """Remove a socket's name."""
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(os.fspath(path)) == 0
