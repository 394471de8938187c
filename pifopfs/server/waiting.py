"""Requests that wait for something to happen: a long poll."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio
from starlette.requests import ClientDisconnect, Request

from pifopfs.server.lingering import KEY, Arrival

LONGEST = 20.0
"""Seconds for which a request may wait: proxies on the way have more patience."""


def seconds(text: str | None) -> float | None:
    """How long a request is to wait, by its query; None where that is no number."""
    try:
        asked = float(text or "")
    except ValueError:
        return None
    return None if math.isnan(asked) else min(max(asked, 0.0), LONGEST)


async def wait(request: Request, time: float, happened: Callable[[], Awaitable[None]]) -> None:
    """Return when `happened` does, when the time is over, or when the server ends.

    Raises ClientDisconnect.
    """
    gone = False
    arrival: Arrival | None = request.scope.get("state", {}).get(KEY)
    async with trio.open_nursery() as race:
        race.cancel_scope.deadline = trio.current_time() + time

        async def or_until(event: Callable[[], Awaitable[None]]) -> None:
            await event()
            race.cancel_scope.cancel()

        async def disconnect() -> None:
            nonlocal gone
            while (await request.receive())["type"] != "http.disconnect":
                pass
            gone = True

        race.start_soon(or_until, happened)
        race.start_soon(or_until, disconnect)
        if arrival is not None:
            race.start_soon(or_until, arrival.server_ends.wait)
    if gone:
        raise ClientDisconnect
