"""SIGTERM: open uploads finish within a bound, nobody keeps the daemon alive, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pifopfs.machine import start_time
from tests.fakeservice import FakeService, delayed, hang, until
from tests.mount.harness import Mount

COORDS = "executions/j/input/coords"
BOUND = 10.0
"""Seconds for a daemon that has one second, or five, for its uploads."""


def terminate(mount: Mount) -> None:
    """SIGTERM; the daemon ends within the bound, and the mount is gone."""
    pid = mount.pid
    os.kill(pid, signal.SIGTERM)
    until(lambda: start_time(pid) is None, BOUND)
    assert not mount.mounted()


@pytest.fixture
def hasty(service: FakeService) -> Iterator[Mount]:
    """A mount whose uploads have a minute, save at the end, where they have a second."""
    args = ("joe/tsp", "--endpoint", service.endpoint)
    env = {"PIFOPFS_SHUTDOWN_GRACE": "1", "PIFOPFS_STALL": "60", "PIFOPFS_TOTAL": "60"}
    with Mount(service.socket.parent, *args, env=env) as mount:
        mount.sh("mkdir executions/j")
        yield mount


def test_sigterm_lets_all_open_uploads_finish(mount: Mount, service: FakeService) -> None:
    mount.sh("mkdir executions/{0..4}")
    release = threading.Event()
    service.fault("upload", delayed(release))
    copying = [mount.spawn("cp", "/etc/passwd", f"executions/{n}/input/coords") for n in range(5)]
    until(lambda: service.count("upload") == 5)
    threading.Timer(0.5, release.set).start()
    terminate(mount)
    assert [process.wait(10) for process in copying] == [0] * 5
    passwd = Path("/etc/passwd").read_bytes()
    assert [e.inputs for e in service.executions.values()] == [{"coords": passwd}] * 5


WRITES = {
    "cp": "cp /etc/passwd executions/cp/input/coords",
    "dash": "cat /etc/passwd > executions/dash/input/coords",
    "rename": "cd executions/rename/input; cp /etc/passwd .new; mv .new coords",
    "empty": ": > executions/empty/input/coords",
}
"""The last two have returned before the upload begins."""


# > one that is cut off then fails its `close`, and `start` does it after the next mount.
def test_an_upload_that_sigterm_cuts_off_is_done_by_start_later(
    hasty: Mount, service: FakeService
) -> None:
    release = threading.Event()
    service.fault("upload", hang(release))
    hasty.sh("; ".join(f"mkdir executions/{name}" for name in WRITES))
    writing = {name: hasty.spawn("dash", "-c", script) for name, script in WRITES.items()}
    until(lambda: service.count("upload") == len(WRITES))
    terminate(hasty)
    codes = {name: process.wait(10) for name, process in writing.items()}
    assert (codes["cp"], codes["dash"]) == (1, 1), codes
    assert (codes["rename"], codes["empty"]) == (0, 0), codes
    release.set()
    service.heal()
    hasty.mount()
    hasty.sh("; ".join(f"echo 1 > executions/{name}/start" for name in WRITES))
    passwd = Path("/etc/passwd").read_bytes()
    got = [execution.inputs for execution in service.executions.values()]
    assert got == [{}, *[{"coords": passwd}] * 3, {"coords": b""}]  # that of `j` is none


# > An input that some process still had open is *torn*, also where a flush in the middle had
# > been uploaded.
@pytest.mark.parametrize("end", [terminate, Mount.kill], ids=["SIGTERM", "SIGKILL"])
def test_what_a_process_still_had_open_is_torn_and_keeps_no_daemon_alive(
    hasty: Mount, service: FakeService, end: Callable[[Mount], None]
) -> None:
    """The shell's `>&4` flushes: what it wrote so far is uploaded, but it may go on."""
    held = hasty.spawn(
        "bash", "-c",
        "cd executions/j; exec 3< log 4> input/model 5< id 6< input/model; echo half >&4;"
        " echo open; tee input/coords",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert held.stdin is not None
    held.stdin.write("half\n")
    held.stdin.flush()
    until(lambda: hasty.out(f"[ ! -e {COORDS} ] || cat {COORDS}") == "half\n")
    end(hasty)
    assert held.poll() is None
    hasty.mount()
    for name in ("coords", "model"):
        refused = hasty.sh("echo 1 > executions/j/start", check=False)
        assert "Invalid argument" in refused.stderr, name
        assert name in hasty.out("cat executions/j/error")
        hasty.sh(f"echo whole > executions/j/input/{name}")
    hasty.sh("echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"whole\n", "model": b"whole\n"}
