"""The raiser, a program of its own: in the mount it does what a program does that writes files, on
which the kernel tells those who watch them with inotify.

`raising` runs it as `python -I -S raiser.py MOUNTPOINT DEVICE`. It imports nothing of pifopfs, to
be small. It reads records `EVENTS PATH` that end with a NUL, and answers each with an errno and a
newline, 0 where the events were raised. It ends with its input. Between records it holds nothing of
the mount, which can be unmounted then.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

MODIFY, ATTRIB, CLOSE_WRITE, CREATE = 0x002, 0x004, 0x008, 0x100
"""Of inotify(7)."""
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
"""Of utimensat(2)."""
AT_SYMLINK_NOFOLLOW = 0x100


class Timespec(ctypes.Structure):
    """Of utimensat(2)."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


LIBC = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Serve standard input to its end."""
    mountpoint, device = os.fsencode(sys.argv[1]), int(sys.argv[2])
    rest = b""
    while more := os.read(0, 64 * 1024):
        *records, rest = (rest + more).split(b"\0")
        for record in records:
            events, _, path = record.partition(b" ")
            number = outcome(mountpoint, device, path, int(events))
            try:
                os.write(1, b"%d\n" % number)
            except BrokenPipeError:  # the daemon has gone
                return


def outcome(mountpoint: bytes, device: int, path: bytes, events: int) -> int:
    """Raise events; the errno of what is in the way."""
    try:
        root = os.open(mountpoint, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.fstat(root).st_dev != device:  # it has been unmounted, or mounted over
                return errno.ENOTCONN
            raise_events(root, path, events)
        finally:
            os.close(root)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def raise_events(root: int, path: bytes, events: int) -> None:
    """Raise events on a file below an open directory. Raises OSError."""
    if events & (CREATE | CLOSE_WRITE):
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        if events & CREATE:
            flags |= os.O_CREAT | os.O_EXCL
        file = os.open(path, flags, 0o600, dir_fd=root)
        try:
            if events & MODIFY:
                raise_modify(root, path)
        finally:
            os.close(file)
    elif events & MODIFY:
        raise_modify(root, path)
    elif events & ATTRIB:
        os.utime(path, dir_fd=root, follow_symlinks=False)  # both times: an event of attributes


def raise_modify(root: int, path: bytes) -> None:
    """Set the time of the last change alone, which the kernel tells as a change of the content."""
    times = (Timespec * 2)(Timespec(0, UTIME_OMIT), Timespec(0, UTIME_NOW))
    if LIBC.utimensat(root, path, times, AT_SYMLINK_NOFOLLOW) != 0:
        raise OSError(ctypes.get_errno(), "utimensat")


if __name__ == "__main__":
    main()
