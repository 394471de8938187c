"""What the kernel must be told of a file that has grown since it last asked for its size.

Most programs ask for the size after `open`, and so does the kernel for a read at the end. Those
that copy with `sendfile` or `splice` (busybox and uutils) get what the kernel believes: they would
miss what came with the `open`. A byte that is handed to the kernel moves the end that it sees.
"""

from __future__ import annotations

from collections.abc import Callable

PAGE = 4096

Pieces = tuple[tuple[int, bytes], ...]
"""Bytes with their offsets."""


def growth(told: int, size: int, read: Callable[[int, int], bytes]) -> Pieces:
    """The bytes to hand over when a file has `size` bytes of which the kernel knows `told`.

    They are the rest of its last page, which may be in its cache, and the last byte.
    """
    page_end = min(size, -(-told // PAGE) * PAGE)
    pieces = []
    if told < page_end:
        pieces.append((told, read(told, page_end - told)))
    if page_end < size:
        pieces.append((size - 1, read(size - 1, 1)))
    return tuple(pieces)
