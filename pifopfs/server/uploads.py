"""Inputs on their way: written aside, so that a broken upload changes nothing."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from pifopfs.server.refusals import TooLarge, TooSlow


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """The path of a new file in an execution's folder, which goes where it has not been moved."""
    path = folder / "uploads" / secrets.token_hex(8)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


async def receive(
    pieces: AsyncIterator[bytes],
    path: Path,
    largest: int | None,
    stall: float,
    arrived: Callable[[], None],
) -> int:
    """Write what comes to a file, and tell of each piece; its size.

    `stall`: seconds in which something has to come. Raises TooLarge, TooSlow, OSError.
    """
    size = 0
    with path.open("wb", buffering=0) as file:
        while (piece := await _next(pieces, stall)) is not None:
            arrived()
            size += len(piece)
            if largest is not None and size > largest:
                raise TooLarge(f"an input has at most {largest} bytes")
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
    return size


async def _next(pieces: AsyncIterator[bytes], stall: float) -> bytes | None:
    """The next piece, None at the end."""
    with trio.move_on_after(stall):
        return await anext(pieces, None)
    raise TooSlow(f"nothing of the input came for {stall:g} s; send it again")
