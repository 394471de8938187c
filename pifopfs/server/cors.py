"""Requests from pages of other origins: every answer allows them, as keys are no cookies."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

ORIGIN = {"Access-Control-Allow-Origin": "*"}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",  # `*` would not cover the first
    "Access-Control-Max-Age": "600",
}
PRIVATE = "Access-Control-Request-Private-Network"
ALLOW_PRIVATE = {"Access-Control-Allow-Private-Network": "true"}


class Cors:
    """Wraps the application. Browsers ask with OPTIONS first, on any path and without a key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def allowed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(ORIGIN)
            await send(message)

        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await _preflight(scope, allowed)
        else:
            await self._app(scope, receive, allowed)


async def _preflight(scope: Scope, send: Send) -> None:
    headers = PREFLIGHT | (ALLOW_PRIVATE if Headers(scope=scope).get(PRIVATE) else {})
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 204, "headers": raw})
    await send({"type": "http.response.body"})
