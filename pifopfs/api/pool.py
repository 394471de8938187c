"""The pool of connections, mended in two places of httpcore (1.0.9).

It forgets a connection that is cancelled between its making and its first request: it is neither
idle nor closed, nobody uses it, and it counts against the limit of the pool. And it goes on using
a connection on which more came than the answer: that would be taken for the next answer.

The lists of the pool are private; the tests of this module and of cancelled calls watch them.
"""

from __future__ import annotations

from typing import Any

import httpcore
import httpx
import trio

CLOSE_TIMEOUT = 5.0
"""Seconds that closing a connection may take; it then is as good as closed."""


class Transport(httpx.AsyncHTTPTransport):
    """httpx's transport, whose pool loses no places and mixes up no answers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        assign = self._pool._assign_requests_to_connections

        def without_surplus() -> list[httpcore.AsyncConnectionInterface]:
            """Assign requests to connections; those returned are then closed."""
            spoilt = [each for each in self._pool._connections if _has_surplus(each)]
            for connection in spoilt:
                self._pool._connections.remove(connection)
            return [*spoilt, *assign()]

        self._pool._assign_requests_to_connections = without_surplus  # type: ignore[method-assign]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what httpx raises."""
        try:
            return await super().handle_async_request(request)
        except BaseException:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await _close_forgotten(self._pool)
            raise


def _has_surplus(connection: httpcore.AsyncConnectionInterface) -> bool:
    """Whether an idle connection has bytes that nobody has asked for."""
    http = getattr(connection, "_connection", None)  # None before it is made
    state = getattr(http, "_h11_state", None)
    return state is not None and connection.is_idle() and bool(state.trailing_data[0])


async def _close_forgotten(pool: httpcore.AsyncConnectionPool) -> None:
    """Close what no request holds and none could get, and give its places to those that wait."""
    held = {id(request.connection) for request in pool._requests}
    forgotten = [
        connection
        for connection in pool._connections
        if id(connection) not in held and not (connection.is_idle() or connection.is_closed())
    ]
    for connection in forgotten:
        pool._connections.remove(connection)
    for connection in [*forgotten, *pool._assign_requests_to_connections()]:
        await connection.aclose()
