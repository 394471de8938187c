"""What there is to tell of a job, also of one that came to nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pifopfs import wire
from pifopfs.run.ends import End
from pifopfs.run.sources import Transfer
from pifopfs.run.times import Times
from pifopfs.wire import ExecutionId


@dataclass(slots=True)
class Result:
    """Grows while the job goes on."""

    function: str
    id: ExecutionId | None = None
    end: End | None = None
    """None while it is not known, and for a job that came to nothing."""
    execution: wire.Execution | None = None
    """What the service said last."""
    times: Times = field(default_factory=Times)
    inputs: Sequence[Transfer] = ()
    outputs: list[dict[str, Any]] = field(default_factory=list)
    """Those that were brought."""
    kept: bool = False
    """It goes on at the service."""
    notes: list[str] = field(default_factory=list)
    """What went wrong beside, in sentences."""

    def created(self, seen: wire.Execution) -> None:
        """It is there."""
        self.id, self.execution, self.times.created = seen.id, seen, time.time()

    def document(self) -> dict[str, Any]:
        """For JSON."""
        execution = self.execution
        return {
            "id": self.id,
            "function": self.function,
            "end": self.end,
            "end_reason": execution and execution.end_reason,
            "exit_code": execution and execution.exit_code,
            **self.times.document(),
            "inputs": [{"id": moved.name, "size": moved.size} for moved in self.inputs],
            "outputs": self.outputs,
            "kept": self.kept,
            "notes": self.notes,
        }
