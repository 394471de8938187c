"""`pifopfs umount`: take a mount down and wait for its daemon, or say who keeps it busy."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from pifopfs.errors import MountBusy, MountpointInvalid
from pifopfs.mount.holders import find_holders
from pifopfs.mount.mountpoint import FILESYSTEM, find_mount, fusermount, is_dead, real_mountpoint
from pifopfs.mount.records import MountRecord, find_record, remove_record

BUSY_RETRY = 1.0
"""Seconds for which a busy mount is tried again: what was just closed may still be on its way."""
PAUSE = 0.05
DAEMON_TIMEOUT = 120.0
"""Seconds to wait for a daemon that finishes its uploads."""
FORCE_TIMEOUT = 5.0
"""Seconds that a daemon has to go when it is told to drop everything."""


def unmount(path: Path, *, force: bool) -> MountRecord | None:
    """Take down what is mounted on `path`; returns what was recorded of it.

    Raises MountpointInvalid, MountBusy.
    """
    mountpoint = real_mountpoint(Path(os.path.abspath(path)))  # noqa: PTH100  # may be dead
    mounted = find_mount(mountpoint)
    if mounted is None:
        raise MountpointInvalid(f"{path} is not mounted")
    if mounted.filesystem != FILESYSTEM:
        raise MountpointInvalid(f"{path} is a mount of {mounted.filesystem}, not of pifopfs")
    record = find_record(mountpoint)
    if force:
        _force(mountpoint, record)
    elif is_dead(mountpoint):
        _run(mountpoint, "-z")
    else:
        _unmount_idle(mountpoint, path)
    if record is not None and not _wait_for_end(record, DAEMON_TIMEOUT):
        raise MountBusy(
            f"{path} is unmounted, but its daemon (process {record.pid}) still works; "
            f"see {record.log_file}"
        )
    remove_record(mountpoint)
    return record


def _unmount_idle(mountpoint: Path, shown: Path) -> None:
    deadline = time.monotonic() + BUSY_RETRY
    while True:
        result = fusermount(mountpoint)
        if result.returncode == 0:
            return
        if "busy" not in result.stderr.lower():
            raise MountpointInvalid(f"{shown} cannot be unmounted: {result.stderr.strip()}")
        if time.monotonic() > deadline:
            raise MountBusy(_busy(mountpoint, shown))
        time.sleep(PAUSE)


def _busy(mountpoint: Path, shown: Path) -> str:
    holders = find_holders(mountpoint)
    others = [holder for holder in holders if holder.pid != os.getpid()]  # whose folder it has
    who = ", ".join(f"{each.command} ({each.pid}) uses {each.path}" for each in others or holders)
    return f"{shown} is busy: {who or 'a process of another user uses it'}; end it, or use --force"


def _force(mountpoint: Path, record: MountRecord | None) -> None:
    """Cancel what is under way and detach, whoever uses it."""
    if record is not None:
        for number in (signal.SIGTERM, signal.SIGINT):  # a second one says: at once; two of the
            _signal(record, number)  # same kind may come as one
        if not _wait_for_end(record, FORCE_TIMEOUT):
            _signal(record, signal.SIGKILL)
    if find_mount(mountpoint) is not None:
        _run(mountpoint, "-z")


def _run(mountpoint: Path, *flags: str) -> None:
    result = fusermount(mountpoint, *flags)
    if result.returncode != 0 and find_mount(mountpoint) is not None:
        raise MountpointInvalid(f"{mountpoint} cannot be unmounted: {result.stderr.strip()}")


def _signal(record: MountRecord, number: signal.Signals) -> None:
    if record.alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)


def _wait_for_end(record: MountRecord, timeout: float) -> bool:
    """Whether the daemon has ended within `timeout` seconds."""
    try:
        handle = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return True
    try:
        if not record.alive():
            return True
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        return bool(poller.poll(timeout * 1000))
    finally:
        os.close(handle)
