"""What a fault may leave behind: for the next call, for a start in doubt, for a name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakeservice import until
from tests.faults.faults import FAULTS, OfCalls, long, reset_after
from tests.faults.operations import LARGE, OPERATIONS, STALE, Cell
from tests.faults.proxy import Act, Visit
from tests.faults.rig import Rig


@pytest.fixture
def cell(rig: Rig) -> Iterator[Cell]:
    """A pending execution with its input."""
    cell = Cell(rig, LARGE, rig.name())
    cell.prepare(OPERATIONS["start"].setup)
    yield cell
    rig.heal()
    cell.remove()


@pytest.mark.parametrize("operation", ["create", "upload", "status"])
def test_what_comes_after_an_answer_is_not_the_answer_to_the_next_call(
    rig: Rig, operation: str
) -> None:
    """No call that is made once may fail for bytes that were left over on its connection."""
    what = OPERATIONS[operation]
    cell = Cell(rig, LARGE, rig.name())
    cell.prepare(what.setup)
    rig.proxy.fault(what.call, long, 1)
    cell.sh(what.script)
    after = rig.name()
    cell.sh(f"mkdir executions/{after}")
    assert len(rig.proxy.seen("create", cell.since)) == (2 if operation == "create" else 1)
    cell.sh(f"rmdir executions/{after}")
    cell.remove()


def test_a_start_in_doubt_is_settled_by_the_next_one(cell: Cell) -> None:
    """The answer is lost, and so is the status: it fails, and is not done twice."""
    rig = cell.rig

    def lost(visit: Visit) -> None:
        rig.proxy.fault("status", reset_after)
        reset_after(visit)

    rig.proxy.fault("start", lost, 1)
    result = cell.sh("echo 1 > executions/$N/start", check=False)
    assert "Input/output error" in result.stderr
    assert "start of" in cell.failure()
    rig.heal()
    until(lambda: cell.sh("echo 1 > executions/$N/start", check=False).returncode == 0, 10)
    assert [seen.code for seen in rig.proxy.seen("start", cell.since)] == [200]
    OPERATIONS["start"].judge(cell, "")
    assert cell.failure() == ""


def test_a_start_that_uploads_first_tells_the_uploads_failure(cell: Cell) -> None:
    """Nothing is started, and the next start sends what the service lacks."""
    rig = cell.rig
    rig.proxy.fault("upload", act("413"))
    assert "large" in cell.sh("cat $B $B > executions/$N/input/a", check=False).stderr
    assert "large" in cell.sh("echo 1 > executions/$N/start", check=False).stderr
    assert "input a" in cell.failure()
    assert rig.proxy.seen("start", cell.since) == []
    rig.heal()
    cell.sh("cat $B > executions/$N/input/a; echo 1 > executions/$N/start")
    OPERATIONS["start"].judge(cell, "")


def act(fault: str) -> Act:
    """What a fault of calls does."""
    of_calls = FAULTS[fault]
    assert isinstance(of_calls, OfCalls)
    return of_calls.act


@pytest.mark.parametrize("fault", ["refused", "dns", "tls_expired", "reset_before"])
def test_while_the_service_is_away_all_that_is_here_is_quick(cell: Cell, fault: str) -> None:
    """Also when call after call fails; and within seconds all is well again."""
    rig = cell.rig
    rig.begin(FAULTS[fault], "status")
    for _ in range(5):
        assert asked(cell) != "pending\n"
    began = time.monotonic()
    cell.sh("ls -lR executions > /dev/null; cat executions/$N/id; cmp executions/$N/input/a $B")
    cell.sh("echo draft > executions/$N/input/x.tmp; rm executions/$N/input/x.tmp")
    cell.sh("mv executions/$N executions/$N.; mv executions/$N. executions/$N")
    for _ in range(5):
        assert asked(cell) != "pending\n"
    assert time.monotonic() - began < 5
    rig.heal()
    until(lambda: asked(cell) == "pending\n", 10)


def test_a_service_that_is_stuck_is_waited_for_once_in_a_while_only(cell: Cell) -> None:
    """A call in a row of failures may wait in vain; the next ones are told at once."""
    rig = cell.rig
    rig.begin(FAULTS["stall"], "status")

    def waited() -> bool:
        before = len(rig.proxy.seen("status"))
        assert asked(cell) == ""
        return len(rig.proxy.seen("status")) > before

    for _ in range(3):
        assert waited()
    for _ in range(2):
        began = time.monotonic()
        assert not waited()
        assert "Connection timed out" in cell.sh("cat executions/$N/status", check=False).stderr
        assert time.monotonic() - began < 2
        assert "no answer" in cell.failure()
        until(waited, 10)
    rig.heal()
    until(lambda: asked(cell) == "pending\n", 10)


def asked(cell: Cell) -> str:
    """The status, nothing where it cannot be had."""
    return cell.sh(STALE + "cat executions/$N/status", check=False).stdout


def test_a_redirect_takes_neither_the_key_nor_a_request_elsewhere(cell: Cell) -> None:
    rig = cell.rig
    for call in ("create", "upload", "start", "status"):
        rig.proxy.fault(call, act("redirect"))
        script = OPERATIONS[call].script.replace("mkdir executions/", "mkdir executions/k")
        result = cell.sh(STALE + script, check=False)
        assert "Input/output error" in result.stderr
    assert "elsewhere.test" in cell.failure()
    assert rig.elsewhere.visitors == 0
    assert rig.key not in rig.daemon_log + Path(f"/proc/{rig.mount.pid}/cmdline").read_text()
