"""Files whose close was answered, and of which the kernel has not yet said that it was the last.

That comes moments later. A mount that ends in between would take a whole input for one whose
writer was still at it.
"""

from __future__ import annotations

from collections.abc import Callable

import trio


class LastCloses:
    """Writers between their flush and their release."""

    def __init__(self) -> None:
        self._expected: dict[object, Callable[[], None]] = {}
        self._none = trio.Event()
        self._none.set()

    def expect(self, writer: object, release: Callable[[], None]) -> None:
        """It has been flushed; `release` is what the last close does."""
        if not self._expected:
            self._none = trio.Event()
        self._expected[writer] = release

    def over(self, writer: object) -> None:
        """It is released, or writes on."""
        if self._expected.pop(writer, None) is not None and not self._expected:
            self._none.set()

    async def none(self) -> None:
        """Return when none is expected."""
        await self._none.wait()

    def all_over(self) -> None:
        """The kernel has no open file any more: those were the last closes."""
        for release in list(self._expected.values()):
            release()
