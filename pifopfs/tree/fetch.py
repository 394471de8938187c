"""One request for an output, or for a part of it, written to the file of its download."""

from __future__ import annotations

from collections.abc import Callable

import trio

from pifopfs.api import Incoming, Span
from pifopfs.errors import PifopfsError
from pifopfs.tree.execution import Execution
from pifopfs.tree.storage import translated


class Fetch:
    """It brings the bytes from `start` on. Invariant: those before `position` are in the file."""

    def __init__(
        self, execution: Execution, output: str, incoming: Incoming, span: Span | None
    ) -> None:
        """`span` None: all of it."""
        self._execution = execution
        self._output = output
        self._incoming = incoming
        self._span = span
        self._scope = trio.CancelScope()
        self.start = span.start if span else 0
        self.end: int | None = span.end if span else None
        """Behind its last byte; None while that is not known."""
        self.followed = self.start
        """How far somebody has read in it."""
        self.given_up = False
        incoming.progress.begin(self.start)

    @property
    def position(self) -> int:
        """How far it has come."""
        return self._incoming.progress.position

    def want(self, offset: int) -> bool:
        """Whether it has come as far as that; if not, it will be told."""
        self.followed = max(self.followed, offset)
        return self._incoming.progress.want(offset)

    def give_up(self) -> None:
        """Nobody needs more of it."""
        self.given_up = True
        self._scope.cancel()

    @property
    def is_whole(self) -> bool:
        """It brings all of the output."""
        return self._span is None

    async def run(self, ended: Callable[[Fetch, PifopfsError | None], None]) -> None:
        """Make the request. `ended` gets what it failed with, None also where it was given up."""
        error: PifopfsError | None = None
        try:
            with self._scope, self._execution.attempt(f"download of output {self._output}"):
                await self._save()
        except PifopfsError as failure:
            error = failure
        finally:
            ended(self, error)

    async def _save(self) -> None:
        execution = self._execution
        expected = None if self.end is None else self.end - self.start
        with translated(self._output):
            await execution.shared.client.save(
                execution.id, self._output, self._incoming, expected=expected, span=self._span
            )
        execution.check_alive()
