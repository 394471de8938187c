"""A mount and a server as services of a systemd, whose socket is a test's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pifopfs.machine import look
from pifopfs.server.removal import remove
from tests.fakeservice import FakeService, delayed, until
from tests.functions import write_function
from tests.mount.harness import PIFOPFS, Mount, environment
from tests.notifysocket import NotifySocket


@pytest.fixture
def systemd(root: Path) -> Iterator[NotifySocket]:
    with NotifySocket(root / "notify") as listening:
        yield listening


@contextmanager
def running(
    root: Path, systemd: NotifySocket, *command: str, program: list[str] = PIFOPFS, **env: str
) -> Iterator[subprocess.Popen[str]]:
    """A service of this systemd."""
    process = subprocess.Popen(
        [*program, *command],
        env=environment(root) | {"NOTIFY_SOCKET": systemd.address, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=root,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def mount(root: Path, service: FakeService) -> Iterator[Mount]:
    """Not mounted yet, in the foreground."""
    made = Mount(root, "joe/tsp", "-f", "--endpoint", service.endpoint)
    yield made
    made.clean_up()


def line(mount: Mount) -> list[str]:
    return ["mount", mount.target, str(mount.path), *mount.args]


def test_a_mount_is_ready_when_it_can_be_used(
    mount: Mount, service: FakeService, systemd: NotifySocket
) -> None:
    release = threading.Event()
    service.fault("function", delayed(release))
    with running(mount.root, systemd, *line(mount)):
        until(lambda: service.count("function") == 1)
        assert systemd.messages == []
        assert not mount.mounted()
        release.set()
        until(lambda: systemd.messages)
        assert mount.out("ls") == "executions\nfunction.json\n"
        status = f"joe/tsp on {mount.path}: 0 executions, 0 running"
        assert systemd.messages[0] == {"READY": "1", "STATUS": status}


def test_the_status_tells_of_the_executions_and_the_watchdog_of_life(
    mount: Mount, service: FakeService, systemd: NotifySocket
) -> None:
    with running(mount.root, systemd, *line(mount), WATCHDOG_USEC="600000"):
        until(lambda: systemd.told("WATCHDOG"))
        mount.sh("mkdir executions/{a,b}; echo x > executions/a/input/coords")
        service.executions[next(iter(service.executions))].status = "running"
        mount.sh("until grep -q running executions/a/status; do :; done")
        until(lambda: systemd.told("STATUS")[-1].endswith(": 2 executions, 1 running"))
        mount.sh("rmdir executions/b")
        until(lambda: systemd.told("STATUS")[-1].endswith(": 1 execution, 1 running"))
        asked = len(service.requests)
        signs = len(systemd.told("WATCHDOG"))
        until(lambda: len(systemd.told("WATCHDOG")) > signs + 3)
        assert len(service.requests) == asked


def test_the_end_is_told_and_how_long_uploads_may_take(
    mount: Mount, service: FakeService, systemd: NotifySocket
) -> None:
    with running(mount.root, systemd, *line(mount), PIFOPFS_SHUTDOWN_GRACE="500") as process:
        until(lambda: systemd.messages)
        mount.sh("mkdir executions/j")
        release = threading.Event()
        service.fault("upload", delayed(release))
        copying = mount.spawn("cp", "/etc/passwd", "executions/j/input/coords")
        until(lambda: service.count("upload") == 1)
        process.send_signal(signal.SIGTERM)
        until(lambda: systemd.told("STOPPING") == ["1"])
        assert int(systemd.told("EXTEND_TIMEOUT_USEC")[0]) > 500e6
        release.set()
        assert process.wait(20) == 0
        assert copying.wait(10) == 0
    assert not mount.mounted()


def test_an_unmount_ends_the_service_in_order(mount: Mount, systemd: NotifySocket) -> None:
    with running(mount.root, systemd, *line(mount)) as process:
        until(lambda: systemd.messages)
        subprocess.run(["fusermount3", "-u", str(mount.path)], check=True)
        assert process.wait(20) == 0
        assert systemd.told("STOPPING") == ["1"]


def test_a_mount_that_fails_was_never_ready(
    mount: Mount, service: FakeService, systemd: NotifySocket
) -> None:
    service.down()
    with running(mount.root, systemd, *line(mount)) as process:
        assert process.wait(30) == 5
    assert systemd.messages == []


STUCK = """
import sys, time
from pifopfs.errors import AccessNotAllowed
from pifopfs.tree import files
from pifopfs.cli import main

async def stuck(self, flags):
    time.sleep(60)

files.StopFile.open = stuck
sys.argv[0] = "pifopfs"
main()
"""


def test_a_stuck_event_loop_gives_no_sign_of_life_and_shows_where_when_it_is_ended(
    mount: Mount, systemd: NotifySocket
) -> None:
    script = mount.root / "stuck.py"
    script.write_text(STUCK)
    program = [sys.executable, str(script)]
    with running(
        mount.root, systemd, *line(mount), program=program, WATCHDOG_USEC="600000"
    ) as process:
        until(lambda: systemd.told("WATCHDOG"))
        mount.sh("mkdir executions/j")
        writing = mount.spawn("sh", "-c", "echo 1 > executions/j/stop")
        signs: list[int] = []

        def silent() -> bool:
            signs.append(len(systemd.told("WATCHDOG")))
            return len(signs) > 50 and signs[-1] == signs[-50]  # a second

        until(silent)
        process.send_signal(signal.SIGABRT)  # as systemd's watchdog does
        output, _ = process.communicate(timeout=20)
        assert process.returncode == -signal.SIGABRT
        assert "in stuck" in output
        writing.wait(20)


def test_a_server_is_ready_when_it_answers_and_tells_its_end(
    root: Path, systemd: NotifySocket
) -> None:
    write_function(root / "fns" / "joe" / "up")
    (root / "own").mkdir(mode=0o700)
    socket = root / "own" / "s.sock"
    command = ["serve", str(root / "fns"), "--socket", str(socket)]
    with running(root, systemd, *command, WATCHDOG_USEC="600000") as process:
        until(lambda: systemd.messages)
        assert systemd.messages[0]["READY"] == "1"
        assert systemd.told("STATUS") == [f"serving joe/up on unix:{socket}"]
        assert socket.is_socket()
        until(lambda: len(systemd.told("WATCHDOG")) > 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert systemd.told("STOPPING") == ["1"]


def test_the_server_of_a_folder_cannot_speak_for_the_mount(
    root: Path, systemd: NotifySocket
) -> None:
    folder = write_function(root / "fn")
    mount = Mount(root, str(folder), "-f")
    try:
        with running(root, systemd, *line(mount)):
            until(lambda: systemd.messages)
            (server,) = folder_servers(folder)
            assert b"NOTIFY_SOCKET" not in (server / "environ").read_bytes()
    finally:
        mount.clean_up()


def test_regression_a_folder_pifopfs_where_it_is_started_is_not_taken_for_the_program(
    root: Path, systemd: NotifySocket
) -> None:
    """The home of a user with the mountpoint ~/pifopfs/joe/tsp, in which his systemd starts it; or
    any folder, which others may have filled with what is then run.
    """
    (root / "pifopfs").mkdir()
    (root / "pifopfs" / "__init__.py").touch()
    mount = Mount(root, str(write_function(root / "fn")), "-f")
    try:
        with running(root, systemd, *line(mount), program=[sys.executable, "-P", *PIFOPFS[1:]]):
            until(lambda: systemd.messages)
    finally:
        remove(root / "pifopfs")
        mount.clean_up()


def folder_servers(folder: Path) -> list[Path]:
    """Their places in /proc: the daemon, whose parent has ended."""
    wanted = b"serve-folder\0--when-told\0" + os.fsencode(folder)
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if wanted in (path / "cmdline").read_bytes() and is_daemon(int(path.name)):
                found.append(path)
    return found


def is_daemon(pid: int) -> bool:
    process = look(pid)
    return process is not None and process.session == pid
