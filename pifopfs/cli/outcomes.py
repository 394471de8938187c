"""What came of an execution that was waited for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pifopfs.run.ends import End, how_ended
from pifopfs.wire import Execution, Status


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one."""

    given: str
    """As the user names it."""
    end: End
    execution: Execution | None = None
    """None where the service has none."""

    @classmethod
    def of(cls, given: str, execution: Execution) -> Outcome:
        """Of one that has ended, or of which our patience is over."""
        ended = execution.status is Status.ENDED
        return cls(given, how_ended(execution) if ended else End.TIME_OVER, execution)

    @property
    def has_ended(self) -> bool:
        """At the service."""
        return self.execution is not None and self.execution.status is Status.ENDED

    def document(self) -> dict[str, Any]:
        """For JSON."""
        execution = self.execution
        return {
            "execution": self.given,
            "id": execution and execution.id,
            "end": self.end,
            "end_reason": execution and execution.end_reason,
            "exit_code": execution and execution.exit_code,
        }
