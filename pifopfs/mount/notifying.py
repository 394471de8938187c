"""Tells processes that watch the mount with inotify what changes at the service.

The kernel does not say that somebody watches, but he has looked before: after a look at an
execution that may change, /proc is searched for watches, and again while there are some. So a mount
at which nobody looks sleeps, and a watch on what has ended costs nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from pathlib import Path

import trio

from pifopfs.config import Config
from pifopfs.machine import mounts
from pifopfs.mount.raising import Raising
from pifopfs.mount.watches import find_watches
from pifopfs.tree.nodes import STATIC
from pifopfs.tree.tree import Tree
from pifopfs.tree.watchers import Watchers

log = logging.getLogger(__name__)

SOON = 0.2
"""Seconds from a look to the first search: who watches, does so right after it."""
LATER = 1.1 * STATIC
"""Seconds after the last look from which on nobody can have begun to watch."""
SHARE = 50
"""Searching takes one part in so many, and one, of the processor's time."""


async def tell_watchers(tree: Tree, mountpoint: Path, config: Config) -> None:
    """Do so until cancelled. A mount that can only be read cannot tell: the kernel refuses it."""
    device = _device(mountpoint)
    if device is None or "ro" in config.options.kernel:
        return
    users = None if config.options.notify else {os.getuid(), config.options.uid}
    try:
        await _tell(tree, mountpoint, device, users, config.settings.watch_interval)
    except Exception:  # the mount goes on
        log.exception("those who watch with inotify are told nothing more")


async def _tell(
    tree: Tree, mountpoint: Path, device: int, users: Collection[int] | None, interval: float
) -> None:
    def known_as(process: int | None) -> None:
        tree.raiser = process

    raising = Raising(mountpoint, device, known_as)
    watchers = Watchers(tree.known, raising.announcements.add)
    tree.looks.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raising.run)
        while True:
            await tree.looks.some()
            await trio.sleep(SOON)
            while True:
                looks, began = tree.looks.take(), trio.current_time()
                found = await trio.to_thread.run_sync(find_watches, device, users)
                watchers.heed(found, looks, nursery)
                if not looks and not watchers.some:
                    break
                pause = max(interval, LATER, SHARE * (trio.current_time() - began))
                await trio.sleep(LATER)
                if watchers.some or tree.looks:
                    await trio.sleep(pause - LATER)


def _device(mountpoint: Path) -> int | None:
    here = [mounted.device for mounted in mounts() if mounted.mountpoint == mountpoint]
    return here[-1] if here else None
