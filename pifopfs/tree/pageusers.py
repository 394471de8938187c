"""Who uses the kernel's page cache of a file that is written.

A program that only writes needs no pages: its bytes go past the cache, which saves a copy. Where
others read through the cache, older kernels would not tell them, so the two never meet.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(slots=True)
class PageUsers:
    """The open handles of one file."""

    _through: int = 0
    _past: int = 0

    def join(self, flags: int) -> bool:
        """One more, with these flags of `open`; whether it goes past the page cache."""
        only_writes = flags & os.O_ACCMODE == os.O_WRONLY
        past = self._past > 0 or (only_writes and self._through == 0)
        self._past += past
        self._through += not past
        return past

    def leave(self, *, past: bool) -> None:
        """One less."""
        self._past -= past
        self._through -= not past
