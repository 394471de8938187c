"""What a program can ask of a file or directory: one small function for each call.

This file is also the program that does so in a mount: it reads groups of calls as JSON, does them
and prints what each gave. It imports nothing of ours, so that
it runs as another user, too.
"""

# System calls have their own names here:
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH116, PTH208, PTH211, T201

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import signal
import stat
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
LIBC.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
AT_FDCWD = -100
NAMES = {errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EAGAIN: "EAGAIN"}
"""Of the errnos that have two."""
PATIENCE = {"blocks": 0.5}
"""Seconds that a call may take, by what is expected of it."""


class Blocked(Exception):
    """The call did not return in time."""


@dataclass
class Target:
    """What the calls are done on, and what is around it."""

    path: str
    inside: str
    """A directory itself, or the one that a file is in."""
    free: str
    """A name that is free in there."""
    beside: str
    """A name that is free beside it."""
    other: str
    """A neighbour of the same kind."""
    elsewhere: str
    """A name that is free in another directory of the mount."""
    aside: str
    """Another execution, which is pending."""
    outside: str
    """A folder of another filesystem."""
    held: dict[int, int] = field(default_factory=dict)
    """Descriptors that were open before, by their access mode."""
    _opened: list[int] = field(default_factory=list)

    def hold(self) -> None:
        """Open it in every way it can be opened."""
        for mode in (os.O_RDONLY, os.O_WRONLY):
            with suppress(OSError):
                self.held[mode] = os.open(self.path, mode)

    def open(self, flags: int, path: str | None = None) -> int:
        self._opened.append(os.open(self.path if path is None else path, flags, 0o600))
        return self._opened[-1]

    def reading(self) -> int:
        return self.held[os.O_RDONLY] if os.O_RDONLY in self.held else self.open(os.O_RDONLY)

    def writing(self) -> int:
        return self.held[os.O_WRONLY] if os.O_WRONLY in self.held else self.open(os.O_WRONLY)

    def any(self) -> int:
        """A descriptor, of whichever mode."""
        if self.held:
            return next(iter(self.held.values()))
        try:
            return self.open(os.O_RDONLY)
        except PermissionError:
            return self.open(os.O_WRONLY)

    def copy(self) -> int:
        """A file of another execution."""
        return self.open(os.O_RDWR | os.O_CREAT, f"{self.aside}/input/copy.tmp")

    def temporary(self, content: bytes = b"") -> int:
        """A file of another filesystem."""
        path = f"{self.outside}/file"
        file = self.open(os.O_RDWR | os.O_CREAT | os.O_TRUNC, path)
        os.pwrite(file, content, 0)
        return file

    def close(self) -> None:
        while self._opened:
            os.close(self._opened.pop())


def checked(result: int | None) -> None:
    """Raise what a function of the C library has failed with."""
    if result in (-1, None, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def map_file(file: int, protection: int, flags: int) -> str:
    """Map a file, and touch its first byte: in a child, which may be killed for it."""
    address = LIBC.mmap(None, mmap.PAGESIZE, protection, flags, file, 0)
    checked(address)
    child = os.fork()
    if child == 0:
        if os.fstat(file).st_size:
            ctypes.string_at(address, 1)
        if protection & mmap.PROT_WRITE:
            ctypes.memset(address, ord("m"), 1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    LIBC.munmap(ctypes.c_void_p(address), mmap.PAGESIZE)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "ok"


def rename2(source: str, target: str, flags: int) -> None:
    names = os.fsencode(source), os.fsencode(target)
    checked(LIBC.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], flags))


def poll(target: Target) -> str:
    poller = select.poll()
    poller.register(target.any(), select.POLLIN)
    return "ready" if poller.poll(0) else "not ready"


def access(path: str, mode: int) -> None:
    checked(LIBC.access(os.fsencode(path), mode))


def from_outside(target: Target) -> str:
    os.close(os.open(f"{target.outside}/moved", os.O_WRONLY | os.O_CREAT))
    return f"{target.outside}/moved"


def change_directory(target: Target) -> None:
    here = os.open(".", os.O_PATH)
    os.chdir(target.path)
    os.fchdir(here)


def lock(file: int) -> None:
    """By fcntl."""
    reads = fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    fcntl.lockf(file, (fcntl.LOCK_SH if reads else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def opens(flags: int) -> Callable[[Target], Any]:
    return lambda t: t.open(flags)


PROBES: dict[str, Callable[[Target], Any]] = {
    # ── Open
    "open(O_RDONLY)": opens(os.O_RDONLY),
    "open(O_WRONLY)": opens(os.O_WRONLY),
    "open(O_RDWR)": opens(os.O_RDWR),
    "open(O_WRONLY|O_TRUNC)": opens(os.O_WRONLY | os.O_TRUNC),
    "open(O_RDONLY|O_TRUNC)": opens(os.O_RDONLY | os.O_TRUNC),
    "open(O_WRONLY|O_APPEND)": opens(os.O_WRONLY | os.O_APPEND),
    "open(O_WRONLY|O_CREAT)": opens(os.O_WRONLY | os.O_CREAT),
    "open(O_WRONLY|O_CREAT|O_EXCL)": opens(os.O_WRONLY | os.O_CREAT | os.O_EXCL),
    "open(O_RDONLY|O_DIRECT)": opens(os.O_RDONLY | os.O_DIRECT),
    "open(O_RDONLY|O_NONBLOCK)": opens(os.O_RDONLY | os.O_NONBLOCK),
    "open(O_DIRECTORY)": opens(os.O_RDONLY | os.O_DIRECTORY),
    "open(O_PATH)": opens(os.O_PATH),
    # ── Data
    "read": lambda t: os.read(t.reading(), 10),
    "pread": lambda t: os.pread(t.reading(), 10, 0),
    "write": lambda t: os.write(t.writing(), b"w"),
    "pwrite": lambda t: os.pwrite(t.writing(), b"w", 0),
    "lseek": lambda t: os.lseek(t.any(), 0, os.SEEK_END),
    "ftruncate": lambda t: os.ftruncate(t.writing(), 1),
    "truncate": lambda t: os.truncate(t.path, 1),
    "fsync": lambda t: os.fsync(t.any()),
    "fdatasync": lambda t: os.fdatasync(t.any()),
    "fallocate": lambda t: checked(LIBC.fallocate(t.writing(), 0, 0, 100)),
    "posix_fallocate": lambda t: os.posix_fallocate(t.writing(), 0, 100),
    "mmap(PROT_READ, MAP_PRIVATE)": lambda t: map_file(
        t.reading(), mmap.PROT_READ, mmap.MAP_PRIVATE
    ),
    "mmap(PROT_READ, MAP_SHARED)": lambda t: map_file(t.reading(), mmap.PROT_READ, mmap.MAP_SHARED),
    "mmap(PROT_WRITE, MAP_SHARED)": lambda t: map_file(
        t.open(os.O_RDWR), mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED
    ),
    "copy_file_range from it": lambda t: os.copy_file_range(t.reading(), t.copy(), 10, 0),
    "copy_file_range to it": lambda t: os.copy_file_range(
        t.open(os.O_RDONLY, f"{t.aside}/id"), t.writing(), 3, 0
    ),
    "sendfile from it": lambda t: os.sendfile(t.temporary(), t.reading(), 0, 10),
    "sendfile to it": lambda t: os.sendfile(t.writing(), t.temporary(b"new"), 0, 3),
    "poll": poll,
    "ioctl": lambda t: fcntl.ioctl(t.any(), termios.TCGETS, bytes(64)),
    "flock": lambda t: fcntl.flock(t.any(), fcntl.LOCK_EX | fcntl.LOCK_NB),
    "fcntl(F_SETLK)": lambda t: lock(t.any()),
    # ── Attributes
    "stat": lambda t: os.stat(t.path),
    "fstat": lambda t: os.fstat(t.any()),
    "access(R_OK)": lambda t: access(t.path, os.R_OK),
    "access(W_OK)": lambda t: access(t.path, os.W_OK),
    "chmod": lambda t: os.chmod(t.path, 0o700),
    "fchmod": lambda t: os.fchmod(t.any(), 0o700),
    "chown": lambda t: os.chown(t.path, os.getuid(), os.getgid()),
    "fchown": lambda t: os.fchown(t.any(), os.getuid(), os.getgid()),
    "utimensat": lambda t: os.utime(t.path, (10**9, 10**9)),
    "utimensat(now)": lambda t: os.utime(t.path),
    "futimens": lambda t: os.utime(t.any(), (10**9, 10**9)),
    "getxattr": lambda t: os.getxattr(t.path, "user.a"),
    "setxattr": lambda t: os.setxattr(t.path, "user.a", b"b"),
    "listxattr": lambda t: os.listxattr(t.path),
    "removexattr": lambda t: os.removexattr(t.path, "user.a"),
    "statfs": lambda t: os.statvfs(t.path),
    "fstatfs": lambda t: os.fstatvfs(t.any()),
    # ── Names
    "unlink": lambda t: os.unlink(t.path),
    "rmdir": lambda t: os.rmdir(t.path),
    "rename to a new name": lambda t: os.rename(t.path, t.beside),
    "rename onto a neighbour": lambda t: os.rename(t.path, t.other),
    "rename of a neighbour onto it": lambda t: os.rename(t.other, t.path),
    "rename to another directory": lambda t: os.rename(t.path, t.elsewhere),
    "rename out of the mount": lambda t: os.rename(t.path, f"{t.outside}/out"),
    "rename into the mount": lambda t: os.rename(from_outside(t), t.path),
    "renameat2(RENAME_NOREPLACE)": lambda t: rename2(t.path, t.other, RENAME_NOREPLACE),
    "renameat2(RENAME_EXCHANGE)": lambda t: rename2(t.path, t.other, RENAME_EXCHANGE),
    "link": lambda t: os.link(t.path, t.beside),
    # ── In a directory
    "chdir": change_directory,
    "opendir": lambda t: os.scandir(t.inside).close(),
    "readdir": lambda t: os.listdir(t.any()),
    "open(O_CREAT) in it": lambda t: t.open(os.O_WRONLY | os.O_CREAT, t.free),
    "open(O_CREAT|O_EXCL) in it": lambda t: t.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL, t.free),
    "open(O_TMPFILE) in it": lambda t: t.open(os.O_TMPFILE | os.O_RDWR, t.inside),
    "mkdir in it": lambda t: os.mkdir(t.free),
    "mknod in it": lambda t: os.mknod(t.free, 0o600 | stat.S_IFREG),
    "mkfifo in it": lambda t: os.mkfifo(t.free),
    "symlink in it": lambda t: os.symlink("target", t.free),
}


def ring(*_: object) -> None:
    raise Blocked


def outcome(call: str, target: Target, expected: str) -> str:
    """Do one call: `ok`, or what it gave, or the name of its errno."""
    signal.setitimer(signal.ITIMER_REAL, PATIENCE.get(expected, 20))
    try:
        result = PROBES[call](target)
        target.close()
    except Blocked:
        return "blocks"
    except OSError as error:
        return NAMES.get(error.errno or 0) or errno.errorcode[error.errno or 0]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        with suppress(OSError):
            target.close()
    return result if isinstance(result, str) else "ok"


def run(group: dict[str, Any]) -> list[str]:
    """Do the calls of one file: each on a target of its own, or all on one of a dead execution."""
    calls = group["calls"]
    dead = group.get("terminate")
    if dead is None:
        return [outcome(call, Target(**where), expected) for call, where, expected in calls]
    os.chdir(group["cwd"])
    shared = Target(**group["target"])
    shared.hold()
    os.rmdir(dead)
    return [outcome(call, shared, expected) for call, expected in calls]


def become(user: int) -> None:
    """Another user. For root, who may skip the kernel's checks of modes, to be checked."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        become(int(sys.argv[1]))
    signal.signal(signal.SIGALRM, ring)
    print(json.dumps([run(group) for group in json.load(sys.stdin)]))
