"""One id for each request, which is in every line that is logged about it: the client's, if it has
one, so that its log and ours tell of the same.
"""

from __future__ import annotations

import logging
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pifopfs.observing import ids

log = logging.getLogger(__name__)


class Identified:
    """Wraps the application. Each request is a task of its own, which keeps its id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ids.HEADER, "")
        ids.current.set(given if ids.FORM.fullmatch(given) else ids.new_id())
        code, began = 0, time.monotonic()

        async def told(message: Message) -> None:
            nonlocal code
            code = message.get("status", code)
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            seconds = time.monotonic() - began
            log.debug("%s %s: %d in %.3f s", scope["method"], scope["path"], code, seconds)
