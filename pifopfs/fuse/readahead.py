"""How much the kernel reads ahead of who reads a whole output in order."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import trio

log = logging.getLogger(__name__)

KIBIBYTES = 1024
"""Eight times the default: each request costs as much as many bytes do."""


async def read_far_ahead(mountpoint: Path) -> None:
    """Set it, once the kernel has greeted the mount: that sets it, too.

    Only root may, and not everywhere. A thread asks for the mount's device, which the event loop
    then answers.
    """
    await trio.to_thread.run_sync(_set, mountpoint, abandon_on_cancel=True)


def _set(mountpoint: Path) -> None:
    try:
        device = os.lstat(mountpoint).st_dev
        path = Path(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb")
        path.write_text(f"{KIBIBYTES}\n")
    except OSError as error:
        log.debug("the kernel reads ahead as it does by default: %s", error)
