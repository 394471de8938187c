"""Mountpoints: what is mounted where, what can be mounted on, and clearing dead mounts away."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

from pifopfs.errors import FuseMissing, MountpointInvalid
from pifopfs.machine import Mounted, mounts

log = logging.getLogger(__name__)

FILESYSTEM = "fuse.pifopfs"
AUTOMOUNT = "autofs"
COMMAND_TIMEOUT = 10.0
MOST_LINKS = 40
"""As the kernel follows at most."""


def real_mountpoint(path: Path) -> Path:
    """The path as the kernel knows it.

    The last component is not looked at, it may be dead; only whether it is a link, which asks
    nothing of what is mounted there.
    """
    for _ in range(MOST_LINKS):
        if not path.name:
            break
        path = path.parent.resolve() / path.name
        try:
            path = path.parent / os.readlink(path)  # noqa: PTH115
        except OSError:
            break
    return path


def find_mount(mountpoint: Path) -> Mounted | None:
    """What is mounted on exactly this path, the topmost."""
    here = [mounted for mounted in mounts() if mounted.mountpoint == mountpoint]
    return here[-1] if here else None


def is_automount(mountpoint: Path) -> bool:
    """Whether what is to be mounted here is waited for: whoever looks waits, too, save systemd's
    own process group.
    """
    mounted = find_mount(mountpoint)
    return mounted is not None and mounted.filesystem == AUTOMOUNT


def is_dead(mountpoint: Path) -> bool:
    """Whether the daemon of what is mounted here has died.

    Asked with statvfs, which no cache of the kernel answers, in a process that can be given up.
    """
    script = (
        "import os, sys\n"
        "try: os.statvfs(sys.argv[1])\n"
        "except OSError as error: sys.exit(error.errno)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(mountpoint)]
    try:
        result = subprocess.run(command, timeout=COMMAND_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return False
    return result.returncode in (errno.ENOTCONN, errno.ECONNABORTED)


def fusermount(mountpoint: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run `fusermount3 -u` with more flags; the caller looks at how it went."""
    command = ["fusermount3", "-u", *flags, "--", str(mountpoint)]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
        )
    except FileNotFoundError:
        raise FuseMissing("fusermount3 is not installed") from None


def prepare(path: Path) -> Path:
    """The real path of a mountpoint that can be used; a dead mount on it is cleared away.

    Raises MountpointInvalid.
    """
    mountpoint = real_mountpoint(path)
    mounted = find_mount(mountpoint)
    if mounted is not None and mounted.filesystem == FILESYSTEM and is_dead(mountpoint):
        log.info("clearing away the dead mount of %s on %s", mounted.source, mountpoint)
        fusermount(mountpoint, "-z")
        mounted = find_mount(mountpoint)
    if is_automount(mountpoint):
        return mountpoint
    if mounted is not None:
        raise MountpointInvalid(
            f"{path} is mounted already ({mounted.source}, {mounted.filesystem}); "
            f"unmount it first: pifopfs umount {path}"
        )
    _check_empty_directory(mountpoint, path)
    return mountpoint.resolve()


def _check_empty_directory(mountpoint: Path, shown: Path) -> None:
    try:
        if os.listdir(mountpoint):  # noqa: PTH208
            raise MountpointInvalid(f"{shown} is not empty; mount on an empty folder")
    except FileNotFoundError:
        raise MountpointInvalid(f"{shown} does not exist; make it: mkdir -p {shown}") from None
    except NotADirectoryError:
        raise MountpointInvalid(f"{shown} is not a directory; mount on an empty folder") from None
    except OSError as error:
        raise MountpointInvalid(f"{shown} cannot be used: {error.strerror}") from error
    if not os.access(mountpoint, os.W_OK):
        raise MountpointInvalid(f"{shown} is not yours to write to; mount on a folder of your own")
