"""How far a request and its answer have come; answers that come before the end of their request.

The client must come to read these.

A TCP connection that is closed with bytes unread is reset, and a reset takes from the client what
it has not read yet: of an upload that is refused it would learn only that the connection broke.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import trio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TIME = 30.0
STALL = 2.0
"""Seconds for which the rest of a request is taken, in all and from piece to piece."""
PIECE = 1 << 18
KEY = "pifopfs.request"


@dataclass(slots=True)
class Arrival:
    """How far the last request of a connection has come."""

    unfinished: bool = False
    """More of it may be on its way."""
    answering: bool = False
    """What is sent is the application's answer."""
    head: bool = False
    """The next that is sent is the head of its answer, which more follows."""
    server_ends: trio.Event = field(default_factory=trio.Event)
    """Set when the server is to end: nothing should be waited for any more."""


class Watched:
    """Wraps the application: keeps the `Arrival` that a connection has in its state up to date."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrival: Arrival | None = scope.get("state", {}).get(KEY)
        if arrival is None or scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def noted() -> Message:
            message = await receive()
            arrival.unfinished = bool(message.get("more_body"))
            return message

        async def answered(message: Message) -> None:
            arrival.answering = True
            arrival.head = message["type"] == "http.response.start"
            await send(message)
            if not message.get("more_body") and message["type"] == "http.response.body":
                arrival.answering = False

        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        arrival.unfinished = length != "0" or "transfer-encoding" in headers
        await self._app(scope, noted, answered)


async def take_rest(connection: trio.socket.SocketType) -> None:
    """Take what still comes on a connection that nothing is sent on any more, for a while."""
    with trio.move_on_after(TIME):
        while True:
            with trio.move_on_after(STALL) as stall:
                try:
                    piece = await connection.recv(PIECE)
                except OSError:
                    return
            if stall.cancelled_caught or not piece:
                return
