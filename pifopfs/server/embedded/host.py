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
        leases, over = _Leases(server), trio.Event()
        async with trio.open_nursery() as nursery:
            app = make_app(server.executions)
            await nursery.start(listen, app, place.http, over.wait)
            await nursery.start(leases.serve, place.lease)
            log.info("serving %s", folder)
            ready()
            await leases.until_unneeded(linger)
            if leases.told.is_set():
                await server.runs.end_all()
            over.set()
    log.info("served %s", folder)


class _Leases:
    """The connections to the lease socket, each a client that holds the server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._scope = trio.CancelScope()
        self._closed = False
        """No client is taken any more: it starts another server, which waits for our lock."""
        self.told = trio.Event()
        """Set when a client wants the end of the server."""

    async def serve(
        self, path: Path, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Take clients until they are no longer needed."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(bind(path)))
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(partial(trio.serve_listeners, self._hold, [listener]))
                    task_status.started()
        finally:
            remove(path)

    async def _hold(self, stream: trio.SocketStream) -> None:
        if self._closed:
            return
        with self._server.occupancy.held():
            try:
                await stream.send_all(GREETING)
                if await stream.receive_some(len(END)) == END:
                    self.told.set()
                    await trio.sleep_forever()  # the end of the connection is the answer
            except trio.BrokenResourceError:
                log.debug("a client died")

    async def until_unneeded(self, linger: float) -> None:
        """Return when a client has told the end, or nobody has held the server for so long."""
        while not self.told.is_set():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_vacant, linger, nursery.cancel_scope)
                await self.told.wait()
                nursery.cancel_scope.cancel()
            if self._server.occupancy.vacant:  # no client came in at the last moment
                break
        self._closed = True
        self._scope.cancel()

    async def _until_vacant(self, linger: float, scope: trio.CancelScope) -> None:
        await self._server.occupancy.vacant_for(linger)
        scope.cancel()
