"""Notifications to the kernel's page cache.

A thread makes them: they wait for reads of the file that are under way, which the event loop has
to answer.
"""

from __future__ import annotations

import contextlib

import pyfuse3
import trio
from pyfuse3 import InodeT


class KernelPages:
    """The page cache of one mount."""

    async def drop(self, ino: int) -> None:
        """Let go of all pages of the file."""
        with contextlib.suppress(OSError):  # the kernel has forgotten the file, its pages with it
            await trio.to_thread.run_sync(pyfuse3.invalidate_inode, InodeT(ino))

    async def store(self, ino: int, offset: int, data: bytes) -> None:
        """Take these bytes; the file ends behind them at the least."""
        with contextlib.suppress(OSError):
            await trio.to_thread.run_sync(pyfuse3.notify_store, InodeT(ino), offset, data)
