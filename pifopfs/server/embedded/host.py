"""The server's side: serve one folder until nobody has needed that for a while."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from pifopfs.machine import raise_descriptor_limit
from pifopfs.server.catalog import OneFolder
from pifopfs.server.embedded.manner import Manner
from pifopfs.server.embedded.place import END, GREETING, Place, point
from pifopfs.server.executions import Settings
from pifopfs.server.gate import OwnUser
from pifopfs.server.http import listen, unix_door
from pifopfs.server.routes import make_app
from pifopfs.server.serving import Server, open_server, told_by_signals
from pifopfs.server.sockets import accept

log = logging.getLogger(__name__)

SETTINGS = Settings(discard_pending=None, discard_ended=None)
"""What a mount shows must not expire."""

FIRST_CLIENT = 20.0
"""Seconds that a new server waits at the least for a client: it was started for one, which may be
slow to come.
"""


async def serve_folder(
    folder: Path, *, linger: float, manner: Manner, ready: Callable[[], None]
) -> None:
    """Serve until there has been no client and no running program for `linger` seconds.

    Raises StateLocked where the folder has a server, ServerNotStarted, OptionInvalid.
    """
    place, descriptors = Place.of(folder), raise_descriptor_limit()
    async with (
        told_by_signals() as told,
        open_server(
            OneFolder(folder),
            place.store,
            SETTINGS,
            isolation=manner.isolation,
            descriptors=descriptors,
            engine=manner.engine,
            engine_options=manner.options,
        ) as server,
        trio.open_nursery() as nursery,
    ):
        leases, over = _Leases(server, manner), trio.Event()
        app, linked = make_app(server.executions, OwnUser()), partial(_link, place.http_link)
        await nursery.start(listen, [unix_door(app, place.http_sockets, linked)], over.wait)
        await nursery.start(leases.serve, place)
        log.info("serving %s", folder)
        ready()
        await leases.until_unneeded(linger, told.first)
        if leases.told.is_set():
            await server.runs.end_all()
        over.set()
    log.info("served %s", folder)


class _Leases:
    """The connections to the lease socket, each a client that holds the server."""

    def __init__(self, server: Server, manner: Manner) -> None:
        self._server = server
        self._greeting = GREETING % manner.text().encode()
        self._scope = trio.CancelScope()
        self._had_client = trio.Event()
        self._closed = False
        """No client is taken any more: it starts another server, which waits for our lock."""
        self.told = trio.Event()
        """Set when a client wants the end of the server."""

    async def serve(
        self, place: Place, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Take clients until they are no longer needed."""
        linked = partial(_link, place.lease_link)
        with self._scope:
            async with trio.open_nursery() as nursery:
                door = partial(accept, place.lease_sockets, self._hold, nursery, linked)
                await nursery.start(door)
                task_status.started()

    async def _hold(self, stream: trio.SocketStream) -> None:
        if self._closed:
            return
        with self._server.occupancy.held():
            self._had_client.set()
            try:
                await stream.send_all(self._greeting)
                if await stream.receive_some(len(END)) == END:
                    self.told.set()
                    await trio.sleep_forever()  # the end of the connection is the answer
            except trio.BrokenResourceError:
                log.debug("a client died")

    async def until_unneeded(self, linger: float, told: trio.Event) -> None:
        """Return when a client or a signal (`told`) has told the end, or nobody has held the
        server for so long.
        """
        while not (self.told.is_set() or told.is_set()):
            async with trio.open_nursery() as nursery:
                unneeded = partial(self._unneeded, linger)
                for wait in (unneeded, self.told.wait, told.wait):
                    nursery.start_soon(_cancelling, nursery.cancel_scope, wait)
            if self._server.occupancy.vacant:  # no client came in at the last moment
                break
        self._closed = True
        self._scope.cancel()

    async def _unneeded(self, linger: float) -> None:
        with trio.move_on_after(FIRST_CLIENT):
            await self._had_client.wait()
        await self._server.occupancy.vacant_for(linger)


async def _cancelling(scope: trio.CancelScope, wait: Callable[[], Awaitable[None]]) -> None:
    """Wait, then end the other waits."""
    await wait()
    scope.cancel()


def _link(link: Path, socket: Path) -> None:
    """Tell clients where a socket is."""
    try:
        point(link, socket)
    except OSError as error:  # those with the same runtime folder find it all the same
        log.warning("%s cannot be written: %s", link, error)
