"""A server from start to end: the store taken up, HTTP on a Unix socket, the end in order.

Shutdown order: no more connections, requests under way finish within a grace, programs that still
run are killed and recorded as cut off, the store is closed.
"""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIFramework

from pifopfs.errors import ServerNotStarted, StateLocked
from pifopfs.machine import check_socket_path, private_folder, try_lock
from pifopfs.server.catalog import Catalog
from pifopfs.server.engines.local import LocalEngine
from pifopfs.server.executions import Executions, Settings
from pifopfs.server.occupancy import Occupancy
from pifopfs.server.routes import make_app
from pifopfs.server.runs import Runs
from pifopfs.server.store import Store

log = logging.getLogger(__name__)

BACKLOG = 128
GRACE = 3.0
"""Seconds for requests under way when the server ends."""
DISCARD_INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A store that is taken up, with what runs on it."""

    executions: Executions
    runs: Runs
    occupancy: Occupancy


@asynccontextmanager
async def open_server(catalog: Catalog, folder: Path, settings: Settings) -> AsyncIterator[Server]:
    """Take up the store in `folder`; what runs at the end of the block is cut off.

    Raises StateLocked where another server uses the store, ServerNotStarted where it is unusable.
    """
    with closing(_lock(private_folder(folder))), closing(_store(folder)) as store:
        async with trio.open_nursery() as nursery:
            occupancy = Occupancy()
            runs = Runs(store, LocalEngine(settings.stop_grace), nursery, occupancy)
            runs.take_up()
            executions = Executions(store, catalog, runs, settings)
            nursery.start_soon(_discard_stale, executions)
            yield Server(executions, runs, occupancy)
            nursery.cancel_scope.cancel()


class _Lock:
    def __init__(self, handle: int) -> None:
        self._handle = handle

    def close(self) -> None:
        os.close(self._handle)


def _lock(folder: Path) -> _Lock:
    try:
        handle = try_lock(folder / "lock")
    except OSError as error:
        raise ServerNotStarted(f"{folder} cannot be locked: {error.strerror}") from error
    if handle is None:
        raise StateLocked(f"another server uses {folder}; end it, or name another --state-dir")
    return _Lock(handle)


def _store(folder: Path) -> Store:
    try:
        return Store(folder)
    except (OSError, sqlite3.Error) as error:
        raise ServerNotStarted(f"the store in {folder} cannot be used: {error}") from error


async def _discard_stale(executions: Executions) -> None:
    while True:
        await trio.sleep(DISCARD_INTERVAL)
        await executions.discard_stale()


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────


async def listen(
    server: Server,
    path: Path,
    until: Callable[[], Awaitable[None]],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests on the Unix socket `path` until `until` returns. Raises ServerNotStarted."""
    listener = bind(path)
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = GRACE
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn")
    app = cast("ASGIFramework", make_app(server.executions))
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, app, config, shutdown_trigger=until))
            task_status.started()
    finally:
        _unlink(path)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def bind(path: Path) -> socket.socket:
    """A listening Unix socket that only this user can reach. Raises ServerNotStarted."""
    check_socket_path(path)
    if _answers(path):
        raise ServerNotStarted(f"another server listens on {path}; end it, or name another socket")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServerNotStarted(f"cannot listen on {path}: {error.strerror}") from error
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(os.fspath(path)) == 0
