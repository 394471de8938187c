"""The bytes of one input on the local disk, whatever its name is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pifopfs.errors import FileRemoved
from pifopfs.tree.storage import read_at, remove, translated


class StagedFile:
    """A file that is open while somebody has a handle on it.

    Raises LocalStorageFull and LocalStorageFailed, and FileRemoved where it was removed and
    nobody has it open. The path never changes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.removed = False
        """Unlinked: open handles still work."""
        self._file: int | None = None
        self._handles = 0

    @property
    def _target(self) -> int | Path:
        """What the system calls are made on."""
        return self._there if self._file is None else self._file

    @property
    def _there(self) -> Path:
        if self.removed:
            raise FileRemoved(self.path.name)
        return self.path

    def stat(self) -> os.stat_result:
        """Size and times."""
        with translated(self.path.name):
            return os.stat(self._target)  # noqa: PTH116  # a descriptor or a path

    def open(self, *, create: bool = False) -> None:
        """Open one more handle."""
        if self._file is None:
            flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
            with translated(self.path.name):
                self._file = os.open(self._there, flags, 0o600)
        self._handles += 1

    def close(self) -> None:
        """One handle is gone."""
        self._handles -= 1
        if self._handles == 0 and self._file is not None:
            os.close(self._file)
            self._file = None

    def read(self, offset: int, size: int) -> bytes:
        """The bytes asked for; fewer only at the end. A handle must be open."""
        assert self._file is not None  # noqa: S101  # a handle is open
        with translated(self.path.name):
            return os.pread(self._file, size, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Write all of `data`. A handle must be open."""
        assert self._file is not None  # noqa: S101  # a handle is open
        with translated(self.path.name):
            view = memoryview(data)
            while view:
                written = os.pwrite(self._file, view, offset)
                view, offset = view[written:], offset + written

    def read_at_once(self, offset: int, size: int) -> bytes | memoryview | None:
        """As `read`, None where it fails."""
        try:
            return read_at(self._file, size, offset)  # type: ignore[arg-type]  # it is open
        except OSError:
            return None

    def write_at_once(self, offset: int, data: bytes) -> int:
        """As `write`, 0 where it fails or comes short."""
        try:
            written = os.pwrite(self._file, data, offset)  # type: ignore[arg-type]  # it is open
        except OSError:
            return 0
        return written if written == len(data) else 0

    def truncate(self, size: int) -> None:
        """Set the size."""
        with translated(self.path.name):
            os.truncate(self._target, size)

    def set_times(self, atime_ns: int | None, mtime_ns: int | None) -> None:
        """Set explicit times, None: as they are."""
        now = self.stat()
        times = (
            now.st_atime_ns if atime_ns is None else atime_ns,
            now.st_mtime_ns if mtime_ns is None else mtime_ns,
        )
        with translated(self.path.name):
            os.utime(self._target, ns=times)

    def duplicate(self) -> int:
        """A descriptor of its own, for reading; the caller closes it. A handle must be open."""
        assert self._file is not None  # noqa: S101  # a handle is open
        with translated(self.path.name):
            return os.dup(self._file)

    @contextmanager
    def descriptor(self) -> Iterator[int]:
        """A descriptor of its own for reading, whatever happens to the handles meanwhile."""
        with translated(self.path.name):
            if self._file is not None:
                file = os.dup(self._file)
            else:
                file = os.open(self._there, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield file
        finally:
            os.close(file)

    def remove(self) -> None:
        """Unlink it."""
        self.removed = True
        remove(self.path)
