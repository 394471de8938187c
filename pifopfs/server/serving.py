"""A server from start to end: the store locked and taken up, what runs on it, the end in order.

Requests come in through `http`, which ends first. Then programs that still run are killed and
recorded as cut off, and the store is closed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import trio

from pifopfs.errors import ServerNotStarted, StateLocked
from pifopfs.machine import LOCAL, private_folder, short_key, try_lock
from pifopfs.paths import absolute
from pifopfs.server.catalog import Catalog
from pifopfs.server.engines.finding import EngineSettings, find_opener
from pifopfs.server.executions import Executions, Settings
from pifopfs.server.locks import LOCK
from pifopfs.server.occupancy import Occupancy
from pifopfs.server.removal import remove
from pifopfs.server.runs import Runs
from pifopfs.server.store import Store

log = logging.getLogger(__name__)

DISCARD_INTERVAL = 60.0
PAY_INTERVAL = 2.0
"""Seconds between attempts to write what a full disk has not taken."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Server:
    """A store that is taken up, with what runs on it."""

    store: Store
    executions: Executions
    runs: Runs
    occupancy: Occupancy


@asynccontextmanager
async def open_server(
    catalog: Catalog,
    folder: Path,
    settings: Settings,
    *,
    isolation: str,
    run_as: str | None = None,
    descriptors: int | None = None,
    engine: str = LOCAL,
    engine_options: Mapping[str, str] | None = None,
) -> AsyncIterator[Server]:
    """Take up the store in `folder`; what runs at the end of the block is cut off, where it does
    not last.

    `isolation`, `run_as` and the options are those of `EngineSettings`. `descriptors` is how many
    open files a program without a sandbox may have; None: as many as this process. Raises
    StateLocked where another server uses the store, ServerNotStarted where it or the sandbox is
    unusable, OptionInvalid.
    """
    if descriptors is None:
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    folder = absolute(folder)  # engines work elsewhere
    with closing(_lock(private_folder(folder))), closing(_store(folder)) as store:
        owner = _owner(folder)
        wanted = EngineSettings(
            isolation, owner, folder, run_as, settings.stop_grace, descriptors, engine_options or {}
        )
        async with find_opener(engine)(wanted) as opened, trio.open_nursery() as nursery:
            occupancy = Occupancy()
            runs = Runs(store, opened, nursery, occupancy)
            executions = Executions(store, catalog, runs, settings)
            strays = await _take_up(store, runs, executions, folder)
            nursery.start_soon(_remove, strays)
            nursery.start_soon(_discard_stale, executions)
            nursery.start_soon(_pay, store)
            yield Server(store, executions, runs, occupancy)
            nursery.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class Signals:
    """Whether this process was told to end."""

    first: trio.Event = field(default_factory=trio.Event)
    second: trio.Event = field(default_factory=trio.Event)
    """Told again: there is no more patience."""


@asynccontextmanager
async def told_by_signals() -> AsyncIterator[Signals]:
    """Set when this process is told to end; meanwhile that does not kill it."""
    told = Signals()
    with trio.open_signal_receiver(*SIGNALS) as signals:

        async def hear() -> None:
            async for _ in signals:
                (told.second if told.first.is_set() else told.first).set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            yield told
            nursery.cancel_scope.cancel()


def _owner(folder: Path) -> str:
    """By which the programs of this store are known."""
    return short_key(os.fsencode(folder.resolve()))


class _Lock:
    def __init__(self, handle: int) -> None:
        self._handle = handle

    def close(self) -> None:
        os.close(self._handle)


def _lock(folder: Path) -> _Lock:
    try:
        handle = try_lock(folder / LOCK)
    except OSError as error:
        raise ServerNotStarted(f"{folder} cannot be locked: {error.strerror}") from error
    if handle is None:
        raise StateLocked(f"another server uses {folder}; end it, or name another --state-dir")
    with contextlib.suppress(OSError):  # a full disk: `holder` can then not name us
        os.pwrite(handle, f"{os.getpid():<10}\n".encode(), 0)
    return _Lock(handle)


async def _take_up(store: Store, runs: Runs, executions: Executions, folder: Path) -> list[Path]:
    """Go on with what an earlier server left, or end it; what else it left."""
    try:
        await runs.take_up(executions.function_of)
        return store.strays()
    except (OSError, sqlite3.Error) as error:
        raise ServerNotStarted(f"the store in {folder} cannot be used: {error}") from error


def _store(folder: Path) -> Store:
    try:
        return Store(folder)
    except (OSError, sqlite3.Error) as error:
        raise ServerNotStarted(f"the store in {folder} cannot be used: {error}") from error


async def _discard_stale(executions: Executions) -> None:
    while True:
        await trio.sleep(DISCARD_INTERVAL)
        try:
            await executions.discard_stale()
        except (OSError, sqlite3.Error) as error:
            log.warning("what is stale cannot be discarded: %s", error)


async def _remove(strays: list[Path]) -> None:
    """Not before the start: there may be much of it."""
    for path in strays:
        await trio.to_thread.run_sync(remove, path, abandon_on_cancel=True)


async def _pay(store: Store) -> None:
    while True:
        await trio.sleep(PAY_INTERVAL)
        store.pay()
