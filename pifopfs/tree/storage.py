"""Local files under the state and cache folders: their failures as errors of the tree."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pifopfs.errors import LocalStorageFailed, LocalStorageFull

FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Raise LocalStorageFull or LocalStorageFailed for an OSError; `name` is the user's file."""
    try:
        yield
    except OSError as error:
        kind = LocalStorageFull if error.errno in FULL else LocalStorageFailed
        raise kind(name, f"local disk: {error.strerror or error}") from error
