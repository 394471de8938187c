"""A call that takes too long is told of in the log, with the place where it waits."""

from __future__ import annotations

import sys
import threading

import pytest

from tests.fakeservice import FakeService, hang, until
from tests.mount.harness import Mount

DEADLINE = {"PIFOPFS_WATCHDOG": "0.5", "PIFOPFS_STALL": "60", "PIFOPFS_TOTAL": "60"}


# > and the daemon's log says where a call waits that has taken two minutes
# > (`PIFOPFS_WATCHDOG`).
def test_a_call_over_its_deadline_is_reported_with_its_stack(service: FakeService) -> None:
    release = threading.Event()
    root = service.socket.parent
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=DEADLINE) as mount:
        mount.expected.append("pifopfs.fuse.watchdog: the (open|read) of inode")
        mount.sh("mkdir executions/j; echo x > executions/j/input/coords")
        service.only().status = "running"
        until(lambda: mount.out("cat executions/j/status") == "running\n")
        waiting = mount.spawn("cat", "executions/j/wait")
        service.fault("log", hang(release, 30))
        reading = mount.spawn("cat", "executions/j/log")
        report = until(lambda: [line for line in mount.log.splitlines() if "has taken" in line])
        assert "the open of inode" in report[0]
        assert f"called by process {reading.pid}," in report[0]
        assert 'pifopfs/tree/log.py", line' in mount.log
        service.heal()
        release.set()
        assert reading.wait(20) == 0
        assert f"called by process {waiting.pid}," not in mount.log


BLOCKED = """
import sys, time
from pifopfs.errors import AccessNotAllowed
from pifopfs.tree import files
from pifopfs.cli import main

async def blocked(self, flags):
    time.sleep(3)
    raise AccessNotAllowed("stop")

files.StopFile.open = blocked
sys.argv[0] = "pifopfs"
main()
"""


def test_a_handler_that_blocks_the_whole_daemon_is_reported_by_a_thread(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = service.socket.parent
    script = root / "blocked.py"
    script.write_text(BLOCKED)
    monkeypatch.setattr("tests.mount.harness.PIFOPFS", [sys.executable, str(script)])
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=DEADLINE) as mount:
        mount.expected += [r"Timeout \(", "Thread 0x", "  File ", "$"]
        mount.sh("mkdir executions/j")
        mount.sh("echo 1 > executions/j/stop", check=False)
        assert "blocked.py" in until(lambda: "in blocked" in mount.log and mount.log)
