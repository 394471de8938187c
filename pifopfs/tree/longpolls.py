"""How often a mount may let the service answer only when an execution ends.

Each such request holds a connection, so there are a few at most. Only our own server knows them:
one that does not say that it has waited is not asked that way again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 16
SECONDS = 20.0
"""For which the service is asked to wait."""
SHORTEST = 0.2
"""Seconds that are a wait: what is answered sooner is asked by interval, like a service that does
not know of waiting.
"""


class LongPolls:
    """Those of one mount."""

    def __init__(self) -> None:
        self._known = True
        self._free = AT_ONCE

    @property
    def possible(self) -> bool:
        """Whether one more can be made."""
        return self._known and self._free > 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """One is under way."""
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    def worth_it(self, seconds: float, *, waited: bool) -> bool:
        """Whether to ask so again, after an answer that came in so many seconds and told of no end.

        A server that ends answers at once. What does not know of waiting is not asked so again.
        """
        if not waited:
            self._known = False
        return waited and seconds > SHORTEST
