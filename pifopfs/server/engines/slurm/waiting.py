"""What the log says of a run that waits in the queue."""

from __future__ import annotations

from collections.abc import Callable

import trio

FIRST = 5.0
"""Seconds that a run has waited when its log says so."""
AGAIN = 30.0
"""Seconds between further lines, where its place has changed."""


async def tell_place(tell: Callable[[str], None], place: Callable[[], str]) -> None:
    """Tell where the run is in the queue, until cancelled."""
    pause, told = FIRST, ""
    while True:
        await trio.sleep(pause)
        text = place()
        if text and text != told:
            tell(f"pifopfs: {text}\n")
            pause, told = AGAIN, text
