"""What the service may have under the name of an input."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from pifopfs.tree.execution import Execution


@dataclass(eq=False, slots=True)
class Remote:
    """What the service may have under one name."""

    execution: Execution
    name: str
    known: bool = False
    """The service may have some version of it. Recorded before it can be true."""
    uploading: trio.Lock = field(default_factory=trio.Lock)

    def learn(self, *, known: bool) -> None:
        """Set and record `known`. Raises LocalStorageFull and -Failed."""
        if known is not self.known:
            if not self.execution.dead:
                names, serial = self.execution.shared.names, self.execution.serial
                names.put_uploaded(serial, self.name, known=known)
            self.known = known
