"""The inotify watches that processes have, as far as /proc lets this user see.

Only /proc is read, so that nothing is asked of any mount.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from pifopfs.tree.watchers import Watch

INOTIFY = "anon_inode:inotify"
LINE = re.compile(rb"inotify wd:([0-9a-f]+) ino:([0-9a-f]+) sdev:([0-9a-f]+) mask:([0-9a-f]+)")
"""Of /proc/PID/fdinfo/FD, see proc(5); a line for each watch."""
MINOR_BITS = 20
"""Of a device's number as the kernel itself writes it."""


def find_watches(device: int, users: Collection[int] | None) -> list[Watch]:
    """Those on the filesystem of this device, of processes of these users; None: of all."""
    sdev = os.major(device) << MINOR_BITS | os.minor(device)
    return [
        watch
        for process in _processes(users)
        for descriptor in _inotify_descriptors(process)
        for watch in _watches(process, descriptor, sdev)
    ]


def _processes(users: Collection[int] | None) -> Iterator[int]:
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                try:
                    if users is None or entry.stat().st_uid in users:
                        yield int(entry.name)
                except OSError:  # it has ended
                    continue


def _inotify_descriptors(process: int) -> Iterator[int]:
    try:
        with os.scandir(f"/proc/{process}/fd") as entries:
            for entry in entries:
                if os.readlink(entry.path) == INOTIFY:  # noqa: PTH115
                    yield int(entry.name)
    except OSError:  # it has ended, or closed a file, or is not ours to look at
        return


def _watches(process: int, descriptor: int, sdev: int) -> Iterator[Watch]:
    try:
        lines = Path(f"/proc/{process}/fdinfo/{descriptor}").read_bytes()
    except OSError:
        return
    for found in LINE.finditer(lines):
        number, ino, where, mask = (int(digits, 16) for digits in found.groups())
        if where == sdev:
            yield Watch(process, descriptor, number, ino, mask)
