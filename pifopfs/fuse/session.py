"""Mounting, serving and unmounting."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Set
from pathlib import Path

import pyfuse3
import trio

from pifopfs.errors import FuseMissing, MountpointInvalid
from pifopfs.fuse.activity import Activity
from pifopfs.fuse.attributes import Ownership
from pifopfs.fuse.interrupts import watch_signals
from pifopfs.fuse.nudges import nudged
from pifopfs.fuse.operations import Operations
from pifopfs.fuse.pages import KernelPages
from pifopfs.fuse.readahead import read_far_ahead
from pifopfs.fuse.watchdog import watch_deadlines
from pifopfs.tree.tree import Tree

log = logging.getLogger(__name__)

OPTIONS = frozenset({"default_permissions", "noatime", "subtype=pifopfs"})

REQUESTS_AT_ONCE = 100_000
"""Each blocked reader holds one; the default of 99 would let them hang the whole mount."""


async def serve_mount(
    tree: Tree,
    mountpoint: Path,
    options: Set[str],
    ownership: Ownership,
    activity: Activity,
    *,
    watchdog: float,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Mount, answer requests, return when the mount has gone; unmount when cancelled.

    `options` go to the kernel as they are; `activity` is kept up to date; a call that takes more
    than `watchdog` seconds is reported in the log. Raises MountpointInvalid where mounting is
    refused.
    """
    calls = activity.calls
    tree.pages.connect(KernelPages())
    operations = Operations(tree, ownership, activity)
    try:
        pyfuse3.init(operations, str(mountpoint), set(OPTIONS | options))
    except RuntimeError as error:
        if os.geteuid() != 0 and shutil.which("fusermount3") is None:
            raise FuseMissing("fusermount3 is not installed") from error
        raise MountpointInvalid(
            f"{mountpoint} could not be mounted: {error}; is /dev/fuse there, and fusermount3 "
            "installed? (allow_other needs user_allow_other in /etc/fuse.conf)"
        ) from error
    try:
        with nudged():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch_signals, calls)
                nursery.start_soon(watch_deadlines, calls, watchdog)
                nursery.start_soon(read_far_ahead, mountpoint)
                task_status.started()
                await pyfuse3.main(max_tasks=REQUESTS_AT_ONCE)
                nursery.cancel_scope.cancel()
    finally:
        pyfuse3.close(unmount=True)
