"""How much a run keeps in its working directory, whatever its program has made of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEEPEST = 100
"""Folders within each other: each is an open file while it is looked into."""
LEAST = 4096
"""Bytes that a file or folder counts for at least: many empty ones fill a disk, too."""
SECTOR = 512
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
VANISHED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class TooDeep(Exception):
    """Folders are within each other more than `DEEPEST` times."""


def used(folder: Path, go_on: Callable[[int], object] = lambda _: None) -> int:
    """Bytes on disk below a folder; holes in files are none.

    `go_on` gets the number of bytes so far, now and then; what it raises ends the count. Raises
    TooDeep, OSError.
    """
    counter = _Counter(go_on)
    handle = os.open(folder, OPEN_FOLDER)
    try:
        counter.count(handle, 0)
    finally:
        os.close(handle)
    return counter.total


class _Counter:
    def __init__(self, go_on: Callable[[int], object]) -> None:
        self.total = 0
        self._go_on = go_on
        self._linked: set[tuple[int, int]] = set()
        """Files with several names, which count once."""

    def count(self, folder: int, depth: int) -> None:
        if depth > DEEPEST:
            raise TooDeep
        self._go_on(self.total)
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            with _vanishing():
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                self._add(status)
                if stat.S_ISDIR(status.st_mode):
                    with _opened(name, folder) as below:
                        self.count(below, depth + 1)

    def _add(self, status: os.stat_result) -> None:
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if identity in self._linked:
                return
            self._linked.add(identity)
        self.total += max(LEAST, status.st_blocks * SECTOR)


@contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    """A descriptor of a folder, also of one that its program has closed to its own user."""
    try:
        handle = os.open(name, OPEN_FOLDER, dir_fd=folder)
    except PermissionError:
        handle = _open_closed(name, folder)
    try:
        yield handle
    finally:
        os.close(handle)


def _open_closed(name: str, folder: int) -> int:
    """Opens it for a moment, by its inode: a link put in its place would change nothing else."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        itself, mode = f"/proc/self/fd/{place}", stat.S_IMODE(os.fstat(place).st_mode)
        os.chmod(itself, mode | 0o500)  # noqa: PTH101  # no path of this process's
        try:
            return os.open(".", OPEN_FOLDER, dir_fd=place)
        finally:
            os.chmod(itself, mode)  # noqa: PTH101
    finally:
        os.close(place)


@contextmanager
def _vanishing() -> Iterator[None]:
    """What has gone meanwhile uses nothing."""
    try:
        yield
    except OSError as error:
        if error.errno not in VANISHED:
            raise
