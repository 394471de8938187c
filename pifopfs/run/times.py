"""When things happened, for programs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(slots=True)
class Times:
    """Of this machine's clock, in seconds since 1970; None for what has not happened."""

    created: float | None = None
    started: float | None = None
    ended: float | None = None

    def document(self) -> dict[str, Any]:
        """For JSON: RFC 3339, and the seconds from the start to the end."""
        known = None in (self.started, self.ended)
        seconds = None if known else round((self.ended or 0) - (self.started or 0), 3)
        moments = {"created": self.created, "started": self.started, "ended": self.ended}
        return {**{name: rfc3339(moment) for name, moment in moments.items()}, "seconds": seconds}


def rfc3339(moment: float | None) -> str | None:
    """A moment as text, in UTC."""
    if moment is None:
        return None
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
