"""The pool of connections, mended in two places of httpcore (1.0.9), and a way past its parser.

It forgets a connection that is cancelled between its making and its first request: it is neither
idle nor closed, nobody uses it, and it counts against the limit of the pool. And it goes on using
a connection on which more came than the answer: that would be taken for the next answer.

The lists of the pool are private; the tests of this module and of cancelled calls watch them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpcore
import httpx
import trio

from pifopfs.api.network import Backend, Stream

CLOSE_TIMEOUT = 5.0
"""Seconds that closing a connection may take; it then is as good as closed."""
LARGE = 4 << 20
"""Bytes of a body that may be read from its connection, without the parser of HTTP."""
LONGEST_LENGTH = 20
UNPARSED = "pifopfs.unparsed"
"""The extension of a response that has it."""


@dataclass(frozen=True, slots=True)
class Unparsed:
    """The body of a large answer as it comes from its connection, which then cannot be used again.

    It is as long as Content-Length says; nothing of it may be asked of the response.
    """

    stream: Stream
    begun: bytes
    """What was read of it together with the headers."""
    stall: float
    """Seconds in which more must come."""


class Transport(httpx.AsyncHTTPTransport):
    """httpx's transport, whose pool loses no places and mixes up no answers."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._pool._network_backend = Backend()
        assign = self._pool._assign_requests_to_connections

        def without_surplus() -> list[httpcore.AsyncConnectionInterface]:
            """Assign requests to connections; those returned are then closed."""
            spoilt = [each for each in self._pool._connections if _has_surplus(each)]
            for connection in spoilt:
                self._pool._connections.remove(connection)
            return [*spoilt, *assign()]

        self._pool._assign_requests_to_connections = without_surplus  # type: ignore[method-assign]

    def connections(self) -> list[str]:
        """What each does, in the words of httpcore. Another thread may ask."""
        return [each.info() for each in list(self._pool._connections)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises what httpx raises."""
        try:
            response = await super().handle_async_request(request)
        except BaseException:
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await _close_forgotten(self._pool)
            raise
        if _length(response) >= LARGE:
            response.extensions[UNPARSED] = self._unparsed(request, response)
        return response

    def _unparsed(self, request: httpx.Request, response: httpx.Response) -> Unparsed | None:
        stream = response.extensions.get("network_stream")
        if not isinstance(stream, Stream):
            return None
        for connection in self._pool._connections:
            http: Any = getattr(connection, "_connection", None)
            network: object = getattr(http, "_network_stream", None)
            if network is stream:
                begun, _ = http._h11_state.trailing_data
                return Unparsed(stream, begun, request.extensions["timeout"]["read"])
        return None


def _length(response: httpx.Response) -> int:
    """What Content-Length tells; 0 where that is no length, or does not count."""
    if "Transfer-Encoding" in response.headers:
        return 0
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() and len(text) < LONGEST_LENGTH else 0


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
