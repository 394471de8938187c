"""What a mount knows of sending inputs while they are written."""

from __future__ import annotations

AT_ONCE = 8
"""Each holds a connection for as long as somebody writes."""


class EarlyUploads:
    """Those of one mount."""

    def __init__(self) -> None:
        self.under_way = 0
        self.supported = True
        """The service has let none down so far."""

    @property
    def possible(self) -> bool:
        """Whether one more may begin."""
        return self.supported and self.under_way < AT_ONCE
