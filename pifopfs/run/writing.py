"""Bytes written where that may take its time: a terminal can be held, and a pipe be full."""

from __future__ import annotations

import os

import trio


async def write_all(file: int, data: bytes) -> None:
    """All of them, in a thread that is given up when this is cancelled. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[await trio.to_thread.run_sync(os.write, file, view, abandon_on_cancel=True) :]
