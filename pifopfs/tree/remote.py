"""What the service may have under the name of an input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import trio

from pifopfs.tree.execution import Execution


class Early(Protocol):
    """An upload that has begun while its file is written."""

    async def ended(self) -> None:
        """Give it up, and return when nothing of it is under way."""


@dataclass(eq=False, slots=True)
class Remote:
    """What the service may have under one name."""

    execution: Execution
    name: str
    known: bool = False
    """The service may have some version of it. Recorded before it can be true."""
    uploading: trio.Lock = field(default_factory=trio.Lock)
    early: Early | None = None
    """One that has begun while its file is written, not under the lock: who holds it ends it."""

    def learn(self, *, known: bool) -> None:
        """Set and record `known`. Raises LocalStorageFull and -Failed."""
        if known is not self.known:
            if not self.execution.dead:
                names, serial = self.execution.shared.names, self.execution.serial
                names.put_uploaded(serial, self.name, known=known)
            self.known = known

    async def end_others(self, early: Early | None) -> None:
        """End what goes to it without the lock, save this one."""
        if self.early is not None and self.early is not early:
            await self.early.ended()
