"""A mount at which nobody looks: its daemon sleeps."""

from __future__ import annotations

import time
from pathlib import Path

from tests.fakeservice import FakeService, until
from tests.mount.harness import Mount

QUIET = 2.0
"""Seconds."""


def wake_ups(pid: int) -> int:
    """How often a thread of a process has gone to sleep so far."""
    statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    lines = [line for status in statuses for line in status.splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))


def test_a_daemon_at_which_nobody_looks_sleeps(service: FakeService) -> None:
    root, env = service.socket.parent, {"PIFOPFS_WATCHDOG": "2"}
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount:
        mount.sh("mkdir executions/j; ls -l executions/j")

        def asleep() -> bool:
            before = wake_ups(mount.pid)
            time.sleep(QUIET)
            return wake_ups(mount.pid) == before

        until(asleep, 40)
        asked = len(service.requests)
        assert asleep()
        assert len(service.requests) == asked
        assert mount.out("cat executions/j/status") == "pending\n"
