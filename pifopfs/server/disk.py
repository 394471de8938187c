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
ENTER = 0o500
"""What a folder's owner needs to see what is in it."""
VANISHED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


class TooDeep(Exception):
    """Folders are within each other more than `DEEPEST` times."""


def used(folder: Path, go_on: Callable[[int], object] = lambda _: None) -> int:
    """Bytes on disk below a folder; holes in files are none.

    `go_on` gets the number of bytes so far, now and then; what it raises ends the count. Raises
    TooDeep, OSError.
    """
    counter = _Counter(go_on)
    above = os.open(folder.parent, OPEN_FOLDER)
    try:
        with _opened(folder.name, above) as handle:
            counter.count(handle, 0)
    finally:
        os.close(above)
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
    """A descriptor of a folder."""
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        with _enterable(place):
            handle = os.open(".", OPEN_FOLDER, dir_fd=place)
            try:
                yield handle
            finally:
                os.close(handle)
    finally:
        os.close(place)


@contextmanager
def _enterable(place: int) -> Iterator[None]:
    """A folder that its program has closed to its own user, which is ours, is open meanwhile.

    By its inode: a link that is put in its place changes nothing else.
    """
    mode = stat.S_IMODE(os.fstat(place).st_mode)
    if os.geteuid() == 0 or mode & ENTER == ENTER:
        yield
        return
    itself = f"/proc/self/fd/{place}"
    os.chmod(itself, mode | ENTER)  # noqa: PTH101  # no path of this process's
    try:
        yield
    finally:
        os.chmod(itself, mode)  # noqa: PTH101


@contextmanager
def _vanishing() -> Iterator[None]:
    """What has gone meanwhile uses nothing."""
    try:
        yield
    except OSError as error:
        if error.errno not in VANISHED:
            raise
