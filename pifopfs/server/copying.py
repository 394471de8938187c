"""A folder copied for one run: files, folders and links, each of them writable for its owner.

Mounts below the folder are left out without being touched (one of them may be ours, or dead), and
so are special files. What vanishes meanwhile is not there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from pifopfs.machine import mounts

PIECE = 1 << 20
LEFT_OUT = {errno.ENOENT, errno.ENOTCONN, errno.ESTALE}
"""A look at what has vanished, or at a mount that came and died after the list was read."""


def copy_folder(
    source: Path,
    target: Path,
    without: Path,
    still_wanted: Callable[[], None],
    own: Callable[[Path], None] = lambda _: None,
) -> None:
    """Copy what is in `source` into the new folder `target`, save the folder `without`.

    `still_wanted` is called between pieces; what it raises ends the copy. `own` is called for all
    that is made, to give it an owner. Raises OSError.
    """
    _Copy(source, without, still_wanted, own).run(source, target)


class _Copy:
    def __init__(
        self,
        source: Path,
        without: Path,
        still_wanted: Callable[[], None],
        own: Callable[[Path], None],
    ) -> None:
        top = source.resolve()
        places = [mounted.mountpoint for mounted in mounts()]
        below = [place for place in places if place != top and place.is_relative_to(top)]
        self._mounts = {source / place.relative_to(top) for place in below}
        self._without = without.stat()
        self._still_wanted = still_wanted
        self._own = own

    def run(self, source: Path, target: Path) -> None:
        target.mkdir(mode=0o700)
        self._own(target)
        waiting = [(source, target)]
        while waiting:
            here, there = waiting.pop()
            for original in _entries(here):
                self._still_wanted()
                copy = there / original.name
                if self._copy(original, copy):
                    waiting.append((original, copy))

    def _copy(self, original: Path, copy: Path) -> bool:
        """Copy one entry, a folder without what is in it; whether it is a folder."""
        if original in self._mounts:
            return False
        try:
            status = original.lstat()
            if stat.S_ISLNK(status.st_mode):
                copy.symlink_to(original.readlink())
            elif stat.S_ISREG(status.st_mode):
                self._copy_file(original, copy)
            elif stat.S_ISDIR(status.st_mode) and not os.path.samestat(status, self._without):
                copy.mkdir(mode=0o700)
            else:
                return False
            self._own(copy)
            return stat.S_ISDIR(status.st_mode)
        except OSError as error:
            if error.errno not in LEFT_OUT:
                raise
        return False

    def _copy_file(self, original: Path, copy: Path) -> None:
        reading = os.open(original, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(reading, "rb", 0) as source, copy.open("xb", buffering=0) as target:
            while piece := source.read(PIECE):
                self._still_wanted()
                view = memoryview(piece)
                while view:
                    view = view[target.write(view) :]
            status = os.fstat(reading)
            os.fchmod(target.fileno(), stat.S_IMODE(status.st_mode) & 0o777 | 0o600)
            os.utime(target.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
