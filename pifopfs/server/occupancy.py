"""What keeps a server up: the clients that hold it and the programs that run on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Occupancy:
    """Counts holders, and tells when there has been none for a while."""

    def __init__(self) -> None:
        self._holders = 0
        self._changed = trio.Event()

    @property
    def vacant(self) -> bool:
        """Whether nobody holds it now."""
        return self._holders == 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold while the block runs."""
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    def _change(self, by: int) -> None:
        self._holders += by
        self._changed.set()
        self._changed = trio.Event()

    async def vacant_for(self, seconds: float) -> None:
        """Return when nobody has held for so long."""
        while True:
            changed = self._changed
            with trio.move_on_after(seconds if self.vacant else math.inf):
                await changed.wait()
                continue
            return
