"""A server from start to end: the store locked and taken up, what runs on it, the end in order.

Requests come in through `http`, which ends first. Then programs that still run are killed and
recorded as cut off, and the store is closed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import trio

from pifopfs.errors import ServerNotStarted, StateLocked
from pifopfs.machine import private_folder, try_lock
from pifopfs.server.catalog import Catalog
from pifopfs.server.engines.local import LocalEngine
from pifopfs.server.executions import Executions, Settings
from pifopfs.server.occupancy import Occupancy
from pifopfs.server.runs import Runs
from pifopfs.server.store import Store

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
