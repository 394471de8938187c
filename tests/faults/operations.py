"""What users do, one call of the service each: how it begins, what it is, when it is done."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults.rig import DEADLINE, Rig

LARGE = bytes(range(256)) * 1200
SMALL = b"a few bytes\n" * 3
HUGE = LARGE * 12
"""What is uploaded and downloaded; the small one where every byte takes its time."""

PENDING = "for try in 1 2 3 4 5; do mkdir executions/$N && break; sleep 0.5; done\n"
"""A busy machine may miss the deadlines of these tests, also while all is well."""
READY = PENDING + "cp $B executions/$N/input/a\n"
ENDED = READY + "echo 1 > executions/$N/start\ncat executions/$N/wait\n"
RUNNING = PENDING + "echo sleep > executions/$N/input/a\necho 1 > executions/$N/start\n"
STALE = "sleep 0.06\n"
"""Longer than the freshness: the next look asks."""


@dataclass
class Cell:
    """One operation under one fault."""

    rig: Rig
    content: bytes
    name: str
    since: int = 0
    """How many requests there were before."""
    id: str = ""
    """Of its execution, as soon as there is one."""

    def sh(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.rig.mount.sh(self.filled(script), check=check)

    def filled(self, script: str) -> str:
        """A script with its variables: the execution's name, and a file with the content."""
        return f"N={self.name} B={self.rig.root}/{self.name}.bytes R={self.rig.root}/r\n{script}"

    def prepare(self, script: str) -> None:
        """Make the execution, while all is well."""
        (self.rig.root / f"{self.name}.bytes").write_bytes(self.content)
        if PENDING in script:
            lines = self.sh(f"set -e\n{script}cat executions/$N/id").stdout.split()
            self.id = lines[-1]
        elif script:
            self.sh(script)
        self.since = len(self.rig.proxy.requests)

    def failure(self) -> str:
        """What `error` says, nothing where the execution is no more."""
        path = "executions/$N/error"
        return self.sh(f"if [ -e {path} ]; then cat {path}; fi").stdout

    def remove(self) -> None:
        """Leave nothing of it, whatever it came to."""
        self.sh("rmdir executions/$N; rm -f $B", check=False)

    @property
    def received(self) -> bytes:
        """What was read of the output."""
        return (self.rig.root / "r").read_bytes()


Judge = Callable[[Cell, str], None]
"""Asserts that an operation is done; the text is what it printed."""


@dataclass(frozen=True)
class Operation:
    """`words`: what `error` says was tried; `calls`: how many calls it makes at most."""

    call: str
    setup: str
    script: str
    judge: Judge
    words: str
    calls: int = 1
    reads: bool = field(default=False, kw_only=True)
    """It changes nothing: it can be done again, and all of its call's failures are retried."""

    @property
    def bound(self) -> float:
        """Seconds within which it must have ended, on a machine that is busy."""
        return 5 * DEADLINE * self.calls


def _is_created(cell: Cell, _: str) -> None:
    cell.id = cell.sh("cat executions/$N/id").stdout.strip()
    assert cell.rig.at_the_server(cell.id).code == 200


def _is_uploaded(cell: Cell, _: str) -> None:
    assert cell.rig.uploaded(cell.id) == cell.content


def _ran(cell: Cell, _: str) -> None:
    assert cell.sh("cat executions/$N/wait").stdout == "normal\n"
    cell.sh("cmp executions/$N/output/r $B")
    assert [seen.code for seen in cell.rig.proxy.seen("start", cell.since)].count(200) == 1


def _told_pending(_: Cell, text: str) -> None:
    assert text == "pending\n"


def _told_log(_: Cell, text: str) -> None:
    assert text == "running\ndone\n"


def _told_output(cell: Cell, _: str) -> None:
    assert cell.received == cell.content


def _is_stopped(cell: Cell, _: str) -> None:
    assert cell.sh("cat executions/$N/wait").stdout == "normal\n"
    assert json.loads(cell.rig.at_the_server(cell.id).body)["stopped"] is True


def _is_terminated(cell: Cell, _: str) -> None:
    assert cell.sh("test -e executions/$N", check=False).returncode == 1
    assert cell.rig.at_the_server(cell.id).code == 404


def _told_function(_: Cell, text: str) -> None:
    assert json.loads(text)["id"] == "fn"


OPERATIONS = {
    "create": Operation("create", "", "mkdir executions/$N", _is_created, "create"),
    "upload": Operation(
        "upload", PENDING + STALE, "cp $B executions/$N/input/a", _is_uploaded, "upload"
    ),
    "start": Operation("start", READY + STALE, "echo 1 > executions/$N/start", _ran, "start", 2),
    "status": Operation(
        "status", PENDING + STALE, "cat executions/$N/status", _told_pending, "status", reads=True
    ),
    "log": Operation("log", ENDED, "cat executions/$N/log", _told_log, "log", 2, reads=True),
    "output": Operation(
        "output", ENDED, "cat executions/$N/output/r > $R", _told_output, "output", 2, reads=True
    ),
    "stop": Operation("stop", RUNNING, "echo 1 > executions/$N/stop", _is_stopped, "stop", 2),
    "terminate": Operation(
        "terminate", PENDING, "rmdir executions/$N", _is_terminated, "terminate"
    ),
    "function": Operation(
        "function", "cat function.json\n" + STALE, "cat function.json", _told_function,
        "function info", reads=True,
    ),
}  # fmt: skip
