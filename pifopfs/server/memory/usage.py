"""How much memory processes use, seen from outside."""

from __future__ import annotations

import errno
import functools
import os

from pifopfs.server.memory import Run

PAGE = os.sysconf("SC_PAGE_SIZE")
KILOBYTE = 1024

NOT_THERE = (errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM)
"""Errors of a process that has ended, or does not let itself be looked at."""


def quick(run: Run) -> int:
    """Bytes at most: what processes share is counted for each. Raises OSError."""
    return run.in_memory_files() + sum(_resident(pid) for pid in run.members())


def careful(run: Run) -> int:
    """Bytes, each counted once; takes several times as long. Raises OSError."""
    files = run.in_memory_files()
    shares, mapped = 0, 0
    for pid in run.members():
        share = _share(pid)
        shares += share
        if files and share:
            mapped += _mapped_files(pid)
    return files + shares - min(files, mapped)


def _resident(pid: int) -> int:
    statm = _read(pid, "statm").split()
    return int(statm[1]) * PAGE if statm else 0


def _share(pid: int) -> int:
    """Of what it shares, its part; all of it where it has made that unreadable."""
    rollup = _read(pid, "smaps_rollup")
    return _field(rollup, b"Pss:") if rollup else _resident(pid)


def _mapped_files(pid: int) -> int:
    """Its part of files in memory that it has mapped: they are counted as files already.

    The kernel tells shared memory of all kinds as one. What is in no file is in a filesystem of the
    kernel's own, which tells it apart.
    """
    without_file, wanted = 0, False
    for line in _read(pid, "smaps").splitlines():
        words = line.split()
        if not words[0].endswith(b":"):
            wanted = words[3] == _kernels_own()
        elif wanted and words[0] == b"Pss:":
            without_file += int(words[1]) * KILOBYTE
    return max(0, _field(_read(pid, "smaps_rollup"), b"Pss_Shmem:") - without_file)


@functools.cache
def _kernels_own() -> bytes:
    """The device of shared memory that is in no file, as in /proc/PID/smaps."""
    handle = os.memfd_create("device")
    try:
        device = os.fstat(handle).st_dev
    finally:
        os.close(handle)
    return b"%02x:%02x" % (os.major(device), os.minor(device))


def _field(content: bytes, name: bytes) -> int:
    """In bytes; 0 where the kernel does not tell it."""
    _, _, rest = content.partition(b"\n" + name)
    words = rest.split(maxsplit=1)
    return int(words[0]) * KILOBYTE if words else 0


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123  # hot
            return file.read()
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise
        return b""
