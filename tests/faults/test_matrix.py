"""Every operation under every fault: the right errno in time, in words, and nothing else harmed."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.fakeservice import until
from tests.faults.faults import FAULTS, OfTheDisk
from tests.faults.operations import HUGE, LARGE, OPERATIONS, SMALL, Cell, Operation
from tests.faults.proxy import LASTING
from tests.faults.rig import OTHER, Rig
from tests.faults.table import CANNOT_BE, OK, allowed
from tests.soak import SOAK

LOCAL = 0.5
"""Seconds that a look at what is here may take; five times as long on a busy machine."""
RECOVERY = 10.0
"""Seconds within which all is well again."""
CONTENT = {"dribble": SMALL, "state_full": HUGE}
"""Where a fault needs another one: more than the daemon may have kept room for."""
HOLDS_THE_FOLDER = {"create", "terminate"}
"""The kernel lets nobody else look into `executions` meanwhile."""


def cells() -> Iterator[tuple[str, str, str]]:
    """All of them; without SOAK every pair of operation and fault once, in turn for good and once.

    So every operation and every fault is there in both ways.
    """
    for row, fault in enumerate(FAULTS):
        for column, operation in enumerate(OPERATIONS):
            if (operation, fault) in CANNOT_BE:
                continue
            if isinstance(FAULTS[fault], OfTheDisk):
                yield operation, fault, "lasting"
                continue
            for way, lasts in enumerate(("lasting", "once")):
                if SOAK or (row + column) % 2 == way:
                    yield operation, fault, lasts


def outcome(result: subprocess.CompletedProcess[str]) -> str:
    """The name of the errno that a tool has told, or OK."""
    if result.returncode == 0:
        return OK
    for line in result.stderr.splitlines():
        for number, name in errno.errorcode.items():
            if line.endswith(f": {os.strerror(number)}"):
                return name
    return f"not told: {result}"


@pytest.mark.parametrize(
    ("operation", "fault", "lasts"), [pytest.param(*cell, id="-".join(cell)) for cell in cells()]
)
def test_a_fault_is_told_in_time_and_harms_nothing_else(
    rig: Rig, operation: str, fault: str, lasts: str
) -> None:
    if isinstance(FAULTS[fault], OfTheDisk) and os.getuid() != 0:
        pytest.skip("small disks are mounted as root")
    cell = Cell(rig, CONTENT.get(fault, LARGE), rig.name())
    try:
        check_cell(cell, OPERATIONS[operation], fault, lasting=lasts == "lasting")
    finally:
        rig.heal()
        cell.remove()


def check_cell(cell: Cell, what: Operation, fault: str, *, lasting: bool) -> None:
    rig = cell.rig
    cell.prepare(what.setup)
    logged = len(rig.daemon_log)
    rig.begin(FAULTS[fault], what.call, LASTING if lasting else 1)
    result = attempt(cell, what)
    told = outcome(result)
    right = allowed(what.call, fault, lasting=lasting)
    if not lasting and len(rig.proxy.seen(what.call, cell.since)) > 1:
        right = right | {
            OK
        }  # on a busy machine the answer came too late, and the call was made again
    assert told in right, (result.stderr, rig.proxy.requests[cell.since :])
    if told != OK:
        check_words(cell, what, fault, logged)
        check_bytes(cell, what)
    check_once(cell)
    rig.heal()
    recover(cell, what, result, fault)
    assert "Traceback" not in rig.daemon_log[logged:]
    assert rig.elsewhere.visitors == 0
    assert cell.failure() == ""


def attempt(cell: Cell, what: Operation) -> subprocess.CompletedProcess[str]:
    """Do it, within the bound; meanwhile, or then, all that is here answers at once."""
    began = time.monotonic()
    process = cell.rig.mount.spawn("bash", "-c", "export LC_ALL=C; " + cell.filled(what.script))
    if what.call not in HOLDS_THE_FOLDER:
        check_alive(cell.rig)
    stdout, stderr = process.communicate(timeout=what.bound + 20)
    assert time.monotonic() - began < what.bound
    if what.call in HOLDS_THE_FOLDER:
        check_alive(cell.rig)
    return subprocess.CompletedProcess(what.script, process.returncode, stdout, stderr)


def check_alive(rig: Rig) -> None:
    """What needs no service answers at once."""
    began = time.monotonic()
    rig.mount.sh(f"cd executions; ls -l . {OTHER} {OTHER}/input; cat {OTHER}/id")
    assert time.monotonic() - began < 5 * LOCAL


def check_words(cell: Cell, what: Operation, fault: str, logged: int) -> None:
    """`error` says what was tried; the daemon's log where there is no `error`."""
    if what.call in ("create", "function"):
        if fault != "state_full":  # the log is there
            assert what.words in cell.rig.daemon_log[logged:]
        return
    text = cell.failure()
    assert ("disk" if isinstance(FAULTS[fault], OfTheDisk) else what.words) in text
    assert cell.rig.key not in text


def check_bytes(cell: Cell, what: Operation) -> None:
    """What was read before the failure is right, too."""
    if what.call == "output":
        assert cell.content.startswith(cell.received)


def check_once(cell: Cell) -> None:
    """No execution is made or started twice."""
    for call in ("create", "start"):
        assert len(cell.rig.proxy.seen(call, cell.since)) <= 1, call


def recover(
    cell: Cell, what: Operation, result: subprocess.CompletedProcess[str], fault: str
) -> None:
    """It works now, within some seconds; what was done is done, and not to be done again."""
    again = what.reads or outcome(result) != OK
    done = [result]

    def works() -> bool:
        done[0] = cell.sh(what.script, check=False)
        return done[0].returncode == 0 and done[0].stdout != "gone\n"

    if again:
        until(works, RECOVERY, what.script)
    elif (what.call, fault) == ("terminate", "404"):
        return  # as the service wants it: it says that there is nothing to delete
    what.judge(cell, done[0].stdout)
