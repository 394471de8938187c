"""The server's side: serve one folder until nobody has needed that for a while."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trio

from pifopfs.server.catalog import OneFolder
from pifopfs.server.embedded.place import Place
from pifopfs.server.executions import Settings
from pifopfs.server.http import bind, listen, remove
from pifopfs.server.routes import make_app
from pifopfs.server.serving import Server, open_server

log = logging.getLogger(__name__)

SETTINGS = Settings(discard_pending=None, discard_ended=None)
"""What a mount shows must not expire."""

GREETING = b"pifopfs\n"
END = b"end\n"
"""What a client sends to end the server and all that runs on it."""


async def serve_folder(folder: Path, *, linger: float, ready: Callable[[], None]) -> None:
    """Serve until there has been no client and no running program for `linger` seconds.

    Raises StateLocked where the folder has a server, ServerNotStarted.
    """
    place = Place.of(folder)
    async with open_server(OneFolder(folder), place.store, SETTINGS) as server:
        told = trio.Event()
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(listen, make_app(server.executions), place.http, over.wait)
            leases = await nursery.start(_serve_leases, server, place, told)
            log.info("serving %s", folder)
            ready()
            await _until_unneeded(server, told, linger)
            leases.cancel()  # from here on clients start another server, which waits for our lock
            if told.is_set():
                await server.runs.end_all()
            over.set()
    log.info("served %s", folder)


async def _until_unneeded(server: Server, told: trio.Event, linger: float) -> None:
    async with trio.open_nursery() as nursery:

        async def vacant() -> None:
            await server.occupancy.vacant_for(linger)
            nursery.cancel_scope.cancel()

        nursery.start_soon(vacant)
        await told.wait()
        nursery.cancel_scope.cancel()


async def _serve_leases(
    server: Server,
    place: Place,
    told: trio.Event,
    task_status: trio.TaskStatus[trio.CancelScope],
) -> None:
    """Count the connections to the lease socket as clients, until the scope is cancelled."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(bind(place.lease)))

    async def hold(stream: trio.SocketStream) -> None:
        with server.occupancy.held():
            try:
                await stream.send_all(GREETING)
                if await stream.receive_some(len(END)) == END:
                    told.set()
                    await trio.sleep_forever()  # the end of the connection is the answer
            except trio.BrokenResourceError:
                log.debug("a client died")

    try:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(trio.serve_listeners, hold, [listener]))
                task_status.started(scope)
    finally:
        remove(place.lease)
