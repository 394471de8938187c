"""Control groups as the kernel shows them: folders of files. What both versions have in common."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from pathlib import Path

from pifopfs.machine import mounts

ROUNDS = 20
"""Looks for processes that were started while others were killed."""

PROCESSES = "cgroup.procs"


class Unavailable(Exception):
    """A kind of guard can't be had on this machine; the message says why."""


def own_group(filesystem: str, controller: str, marker: str) -> Path:
    """The folder of the group in which this process is. Raises Unavailable, OSError.

    `filesystem`: as in the mount table. `controller`: as in /proc/self/cgroup, empty for cgroup
    v2. `marker`: a file that all groups of the wanted hierarchy have.

    In a container only a part of the hierarchy may be mounted, and the path that the kernel tells
    may begin above that part. So its ends are tried too; a group is ours when we are in it.
    """
    parts = _path(controller).parts[1:]
    for mounted in mounts():
        if mounted.filesystem == filesystem and (mounted.mountpoint / marker).exists():
            for first in range(len(parts) + 1):
                group = mounted.mountpoint.joinpath(*parts[first:])
                if (group / PROCESSES).exists() and os.getpid() in members(group):
                    return group
    raise Unavailable(f"the group of this process is in no mounted {filesystem} filesystem")


def _path(controller: str) -> Path:
    for line in Path("/proc/self/cgroup").read_bytes().splitlines():
        _, controllers, path = os.fsdecode(line).split(":", 2)
        if controller in controllers.split(","):
            return Path(path)
    raise Unavailable(f"the kernel has no {controller or 'cgroup v2'} hierarchy")


def write(file: Path, content: str) -> None:
    """Raises OSError. Never makes a file: one that is missing is told as missing."""
    handle = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(handle, content.encode())
    finally:
        os.close(handle)


def count(file: Path, name: str) -> int:
    """A number in a file of lines of a name and a number. Raises OSError."""
    for line in file.read_text().splitlines():
        found, _, number = line.partition(" ")
        if found == name:
            return int(number)
    raise OSError(errno.ENODATA, f"the kernel does not tell {name}", str(file))


def members(group: Path) -> list[int]:
    """The processes in a group, those of its own groups not among them. Raises OSError.

    Those outside of our PID namespace have the number 0, which means another thing to `kill`.
    """
    numbers = map(int, (group / PROCESSES).read_bytes().split())
    return [number for number in numbers if number > 0]


def kill_members(group: Path) -> None:
    """Kill what is in a group and in groups below it, one by one. Raises OSError."""
    for folder in _deepest_first(group):
        for _ in range(ROUNDS):
            found = members(folder)
            if not found:
                break
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def removed(group: Path) -> bool:
    """Try to remove a group and those below it; False while it is in use. Raises OSError."""
    try:
        for folder in _deepest_first(group):
            folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
            raise
        return False
    return True


def _deepest_first(group: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in os.walk(group, topdown=False)]
