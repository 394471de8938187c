"""What a mount knows of its executions, told without asking the service anything."""

from __future__ import annotations

from typing import Any

from pifopfs.tree.cache import cache_key
from pifopfs.tree.execution import GONE, Execution
from pifopfs.tree.job import Job, staging
from pifopfs.wire import Status

ORDER: dict[str, int] = {Status.RUNNING: 0, Status.PENDING: 1, GONE: 2, Status.ENDED: 3}


class Listing:
    """Executions by their states: what goes on first, then what may, then what is over; the newest
    first in each.
    """

    def __init__(self) -> None:
        self._keys: list[tuple[int, int, Job]] = []
        self.counts = dict.fromkeys(map(str, ORDER), 0)
        """How many are in each state."""

    def add(self, job: Job) -> None:
        """One more."""
        execution = job.execution
        word = execution.state
        latest = execution.ended_ns or execution.started_ns or execution.created_ns
        self.counts[word] += 1
        self._keys.append((ORDER[word], -latest, job))

    def first(self, most: int | None) -> list[Job]:
        """The first of them, in order. None: all."""
        ordered = sorted(self._keys, key=lambda key: key[:2])
        return [job for _, _, job in ordered[:most]]


def describe(job: Job) -> dict[str, Any]:
    """One execution, for JSON. Times are nanoseconds of this machine's clock; a size that is not
    known is None.
    """
    execution = job.execution
    return {
        "name": execution.name,
        "id": execution.id,
        "state": execution.state,
        "created_ns": execution.created_ns,
        "started_ns": execution.started_ns,
        "ended_ns": execution.ended_ns,
        "end_reason": execution.end_reason or None,
        "exit_code": execution.exit_code,
        "inputs": _inputs(execution),
        "outputs": _outputs(execution),
    }


def _inputs(execution: Execution) -> list[dict[str, Any]]:
    """Those that were written here. Asks the record: their objects would stay for good."""
    folder = staging(execution.shared.settings) / str(execution.serial)
    found = []
    for row in execution.shared.names.inputs(execution.serial):
        try:
            size: int | None = (folder / str(row.number)).stat().st_size
        except OSError:
            size = None
        found.append({"id": row.name, "size": size})
    return found


def _outputs(execution: Execution) -> list[dict[str, Any]]:
    cache = execution.shared.cache
    found = []
    for spec in execution.outputs:
        size = cache.size(cache_key(execution.id, spec.id))
        found.append({"id": spec.id, "size": spec.size if size is None else size})
    return found
