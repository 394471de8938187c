"""Inputs on their way: written aside, so that a broken upload changes nothing."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pifopfs.server.refusals import TooLarge


@contextmanager
def aside(folder: Path) -> Iterator[Path]:
    """The path of a new file in an execution's folder, which goes where it has not been moved."""
    path = folder / "uploads" / secrets.token_hex(8)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


async def receive(
    pieces: AsyncIterator[bytes], path: Path, largest: int | None, arrived: Callable[[], None]
) -> int:
    """Write what comes to a file, and tell of each piece; its size. Raises TooLarge, OSError."""
    size = 0
    with path.open("wb", buffering=0) as file:
        async for piece in pieces:
            arrived()
            size += len(piece)
            if largest is not None and size > largest:
                raise TooLarge(f"an input has at most {largest} bytes")
            view = memoryview(piece)
            while view:
                view = view[file.write(view) :]
    return size
