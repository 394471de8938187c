"""The pool of connections, mended where a cancelled request would take a place for ever.

httpcore (1.0.9) forgets a connection that is cancelled between its making and its first request:
it is neither idle nor closed, nobody uses it, and it counts against the limit of the pool.
"""

from __future__ import annotations

import httpcore
import httpx
import trio

CLOSE_TIMEOUT = 5.0
"""Seconds that closing a connection may take; it then is as good as closed."""


class Transport(httpx.AsyncHTTPTransport):
    """httpx's transport, whose pool loses no places."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what httpx raises."""
        try:
            return await super().handle_async_request(request)
        except BaseException:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await _close_forgotten(self._pool)
            raise


async def _close_forgotten(pool: httpcore.AsyncConnectionPool) -> None:
    """Close what no request holds and none could get, and give its places to those that wait.

    The lists of the pool are private; `test_cancelled_calls_leave_the_pool_whole` watches them.
    """
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
