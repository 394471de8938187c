"""The key that requests carry: read anew where it is kept, when it has changed or was refused."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable

import trio

from pifopfs.api.credentials import ApiKey, KeySource
from pifopfs.errors import CredentialsInvalid

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds after which a request looks again whether the key has changed."""
PATIENCE = 2.0
"""Seconds that a look may take; it goes on without then, as on a network's file system."""
REMEMBERED = 8
"""Keys that are kept out of what is shown: an answer may hold one that has been replaced."""


class Authorization:
    """Of one client. Without a key, requests carry none."""

    def __init__(self, api_key: ApiKey | KeySource | None) -> None:
        self._source = None if isinstance(api_key, ApiKey) else api_key
        first = api_key if isinstance(api_key, ApiKey) or api_key is None else api_key.key
        self.key = "" if first is None else first.reveal()
        self.secrets = deque([self.key] if self.key else [], REMEMBERED)
        """The key, and those before it."""
        self.problem = ""
        """Why the key could not be read anew, where that was so."""
        self._looked = -math.inf
        self._tried = -math.inf
        self._refusals = trio.Lock()
        self._reading = trio.CapacityLimiter(1)

    def headers(self) -> dict[str, str]:
        """What a request carries."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    async def look(self) -> str:
        """The key, after a look whether it has changed where the last one was long ago."""
        now = trio.current_time()
        if self._source is None or now - self._looked < LOOK or not self._reading.available_tokens:
            return self.key
        self._looked = now
        await self._take(self._source.look)
        return self.key

    async def replaced(self, refused: str, sent: float) -> bool:
        """Whether there is another key than the one that was refused.

        `sent`: when the request was; what was read later than that need not be read again.
        """
        async with self._refusals:  # of many at once the first one reads it
            if self._source is not None and self.key == refused and self._tried <= sent:
                await self._take(self._source.read)
        return self.key != refused

    async def _take(self, read: Callable[[], ApiKey]) -> None:
        self._tried = trio.current_time()
        with trio.move_on_after(PATIENCE) as scope:
            try:
                key = await trio.to_thread.run_sync(
                    read, abandon_on_cancel=True, limiter=self._reading
                )
            except CredentialsInvalid as error:
                self._note(str(error))
            else:
                self._note("")
                self._use(key.reveal())
        if scope.cancelled_caught:
            self._note(f"the API key could not be read within {PATIENCE:g} s")

    def _use(self, key: str) -> None:
        if key != self.key:
            self.key = key
            self.secrets.append(key)
            log.info("the API key has changed: from now on requests carry the new one")

    def _note(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.info("%s; the last one is used", problem)
        self.problem = problem
