"""The kernel's page cache, as far as the tree must tell it something."""

from __future__ import annotations

from typing import Protocol


class Pages(Protocol):
    """What the kernel can be told. Both return when it has taken it, or has forgotten the file."""

    async def drop(self, ino: int) -> None:
        """Let go of all pages of the file."""

    async def store(self, ino: int, offset: int, data: bytes) -> None:
        """Take these bytes; the file ends behind them at the least."""


class PageCache:
    """Without a kernel, as before the mount is there, nothing is to be told."""

    def __init__(self) -> None:
        self._pages: Pages | None = None

    def connect(self, pages: Pages) -> None:
        """From now on there is a kernel."""
        self._pages = pages

    async def drop(self, ino: int) -> None:
        """Let the kernel read the file anew."""
        if self._pages is not None:
            await self._pages.drop(ino)

    async def store(self, ino: int, offset: int, data: bytes) -> None:
        """Hand bytes to the kernel, so that it knows where the file ends."""
        if self._pages is not None:
            await self._pages.store(ino, offset, data)
