"""Local files under the state and cache folders: their failures as errors of the tree."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pifopfs.errors import LocalStorageFailed, LocalStorageFull

log = logging.getLogger(__name__)

FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise LocalStorageFull or LocalStorageFailed for an OSError; `name` is the user's file."""
    try:
        yield
    except OSError as error:
        kind = LocalStorageFull if error.errno in FULL else LocalStorageFailed
        raise kind(name, f"local disk: {error.strerror or error}") from error


_BUFFER = memoryview(bytearray(1 << 20))


def read_at(file: int, size: int, offset: int) -> bytes | memoryview:
    """Bytes of an open file, for who uses them before anything else runs: there is one buffer.

    New memory for each of a large file's reads would cost more than reading. Raises OSError.
    """
    if size > len(_BUFFER):
        return os.pread(file, size, offset)
    return _BUFFER[: os.preadv(file, [_BUFFER[:size]], offset)]


def remove(path: Path) -> None:
    """Unlink a file that nobody needs. What cannot be removed is left over, for the next mount."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error)
