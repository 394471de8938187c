"""What an execution keeps of what the service says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pifopfs.errors import LocalStorageFull
from pifopfs.tree.execution import Execution
from pifopfs.tree.rows import ExecutionRow
from pifopfs.wire import Execution as Seen
from pifopfs.wire import ExecutionId, Status


class FullNames:
    """A record on a full disk."""

    full = True
    recorded: dict[str, Any] | None = None

    def observe(self, *row: Any) -> None:
        if self.full:
            raise LocalStorageFull("names")
        self.recorded = row[-1]


@pytest.fixture
def names() -> FullNames:
    return FullNames()


@pytest.fixture
def execution(names: FullNames) -> Execution:
    row = ExecutionRow(1, ExecutionId("e"), "j", 1, None, None, {"id": "e", "status": "pending"})
    shared: Any = SimpleNamespace(names=names, background=None)
    return Execution(row, shared)


async def test_regression_a_full_disk_kept_waiters_from_hearing_of_the_end(
    execution: Execution, names: FullNames
) -> None:
    changed = execution.changed
    ended = Seen.from_json({"id": "e", "status": "ended", "end_reason": "normal"})
    execution.observe(ended)
    assert changed.is_set()
    assert execution.status is Status.ENDED
    names.full = False
    execution.observe(ended)  # the record is made up for
    assert names.recorded == ended.document


async def test_a_status_never_goes_back(execution: Execution, names: FullNames) -> None:
    names.full = False
    execution.observe(Seen.from_json({"id": "e", "status": "ended"}))
    execution.observe(Seen.from_json({"id": "e", "status": "running"}))
    assert execution.status is Status.ENDED
