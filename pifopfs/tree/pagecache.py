"""The kernel's page cache, as far as the tree must tell it something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class PageCache:
    """Without a kernel, as before the mount is there, nothing is to be told."""

    def __init__(self) -> None:
        self._drop: Callable[[int], Awaitable[None]] | None = None

    def connect(self, drop: Callable[[int], Awaitable[None]]) -> None:
        """`drop` returns when the kernel has let go of all pages of an inode number."""
        self._drop = drop

    async def drop(self, ino: int) -> None:
        """Let the kernel read the file anew."""
        if self._drop is not None:
            await self._drop(ino)
