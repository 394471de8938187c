"""Local files under the state and cache folders: their failures as errors of the tree."""

from __future__ import annotations

import errno
import logging
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


def remove(path: Path) -> None:
    """Unlink a file that nobody needs. What cannot be removed is left over, for the next mount."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error)
