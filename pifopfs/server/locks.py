"""The lock of a server's folder, and who holds it."""

from __future__ import annotations

import os
from pathlib import Path

from pifopfs.machine import try_lock

LOCK = "lock"


def holder(folder: Path) -> int | None:
    """The process whose server uses the store in `folder`, 0 where it has not told; None where
    there is none. Raises OSError.
    """
    path = folder / LOCK
    if not path.exists():
        return None
    handle = try_lock(path)
    if handle is not None:
        os.close(handle)
        return None
    text = path.read_text().strip()
    return int(text) if text.isdecimal() else 0
