"""Wrong inputs that were run on, and right ones that were refused, each by name."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

from pifopfs.machine import start_time
from tests.fakeservice import FakeService, Handler, delayed, refuse, until
from tests.mount.harness import Mount


def test_a_stored_upload_whose_retry_was_refused_was_forgotten(
    job: Mount, service: FakeService
) -> None:
    """The input was removed, and start ran on it: it looked at the last answer only."""

    def stored_then_cut(handler: Handler) -> None:
        service.fault("upload", refuse(503))
        service.only().inputs["coords"] = handler._body()
        handler.close_connection = True

    service.fault("upload", stored_then_cut, times=1)
    result = job.sh("cp /etc/hostname executions/j/input/coords", check=False)
    assert "Device or resource busy" in result.stderr
    service.heal()
    result = job.sh("rm executions/j/input/coords; echo 1 > executions/j/start", check=False)
    assert "Invalid argument" in result.stderr
    assert service.count("start") == 0


@pytest.mark.parametrize(
    "change", ["echo new > .new; mv .new coords", "rm coords", "{ echo a; echo b; } > coords"]
)
def test_start_after_an_unclear_start_told_success_on_other_inputs(
    service: FakeService, change: str
) -> None:
    release = threading.Event()

    def started_and_silent(handler: Handler) -> None:
        service.only().status = "running"
        release.wait(120)
        handler.close_connection = True

    patient = {"PIFOPFS_STALL": "60", "PIFOPFS_TOTAL": "60"}  # only the signal ends the first start
    root = service.socket.parent
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=patient) as mount:
        mount.sh("mkdir executions/j; echo old > executions/j/input/coords")
        service.fault("start", started_and_silent, times=1)
        starting = mount.spawn("sh", "-c", "echo 1 > executions/j/start")
        until(lambda: service.only().status == "running")
        starting.send_signal(signal.SIGINT)
        assert starting.wait(20) != 0
        mount.sh(f"cd executions/j/input; {change}")
        if change.endswith("mv .new coords"):  # its upload is nobody's close: `error` tells of it
            until(lambda: "not pending" in mount.out("cat executions/j/error"))
        result = mount.sh("echo 1 > executions/j/start", check=False)
        assert "Operation already in progress" in result.stderr
        assert "an earlier start came through" in mount.out("cat executions/j/error")
        release.set()


def test_a_truncating_open_that_failed_left_a_writer(job: Mount, service: FakeService) -> None:
    """start was refused for ever."""
    job.sh("echo old > executions/j/input/coords")
    (record,) = (job.root / "state").rglob("names.sqlite")
    with sqlite3.connect(record, isolation_level=None) as other:
        until(lambda: other.execute("SELECT state FROM inputs").fetchall() == [("sent",)])
        other.execute("BEGIN IMMEDIATE")
        result = job.sh("echo new > executions/j/input/coords", check=False)
        assert "Input/output error" in result.stderr
        other.execute("ROLLBACK")
    other.close()
    assert "upload of input coords" in job.out("cat executions/j/error")
    job.sh("echo new > executions/j/input/coords; echo 1 > executions/j/start")
    assert service.only().inputs == {"coords": b"new\n"}


WRITES = "import os, sys; f = os.open('executions/j/input/coords', os.O_WRONLY | os.O_CREAT); "


def test_a_writer_killed_while_another_ones_close_uploaded_was_a_bug(
    job: Mount, service: FakeService
) -> None:
    release = threading.Event()
    service.fault("upload", delayed(release), times=1)
    other = job.spawn("python3", "-c", WRITES + "os.write(f, b'b'); print(flush=True); input()",
                      stdin=-1)  # fmt: skip
    assert other.stdout is not None
    other.stdout.readline()
    closing = job.spawn("python3", "-c", WRITES + "os.pwrite(f, b'a', 1); os.close(f)")
    until(lambda: service.count("upload"))
    other.kill()
    other.wait(20)
    until(lambda: "torn" in states(job.root))
    release.set()
    assert closing.wait(20) == 1
    assert "Invalid argument" in closing.communicate(timeout=20)[1]
    assert "Invalid" in job.sh("echo 1 > executions/j/start", check=False).stderr


def states(root: Path) -> list[str]:
    """Of all recorded inputs."""
    (record,) = (root / "state").rglob("names.sqlite")
    with sqlite3.connect(record) as names:
        found = [row[0] for row in names.execute("SELECT state FROM inputs")]
    names.close()
    return found


def test_uploads_that_a_signal_waited_for_were_torn_after_the_next_mount(
    mount: Mount, service: FakeService
) -> None:
    release = threading.Event()
    service.fault("upload", delayed(release))
    mount.sh("mkdir executions/1 executions/2 executions/3 executions/4 executions/5")
    copies = [
        mount.spawn("cp", "/etc/hostname", f"executions/{n}/input/coords") for n in range(1, 6)
    ]
    until(lambda: service.count("upload") == 5)
    pid = mount.pid
    mount.signal(signal.SIGTERM)
    release.set()
    assert [copy.wait(30) for copy in copies] == [0] * 5
    until(lambda: start_time(pid) is None)
    assert states(mount.root) == ["sent"] * 5
    mount.mount()
    mount.sh("for n in 1 2 3 4 5; do echo 1 > executions/$n/start || exit; done")


def test_a_copy_and_an_unmount_at_once_leave_a_whole_input(
    job: Mount, service: FakeService
) -> None:
    job.sh("cp /etc/hostname executions/j/input/coords; fusermount3 -u $M || fusermount3 -uz $M")
    until(lambda: states(job.root) == ["sent"])
    until(lambda: not job.mounted())
    job.mount()
    job.sh("echo 1 > executions/j/start")


HALF = """
import os, sys
f = os.open('executions/j/input/coords', os.O_WRONLY | os.O_CREAT)
data, done = b'x' * 4_000_000, 0
while done < len(data):
    done += os.write(f, data[done:])
    if os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])  # and there is room
os.close(f)
"""


# > a write fails and is not made good
@pytest.mark.skipif(os.getuid() != 0, reason="a small disk is mounted as root")
def test_a_write_cut_short_by_a_full_disk_was_torn_though_it_went_on(service: FakeService) -> None:
    """The kernel told of a short count, the rest was written, close succeeded: nothing was sent."""
    root = service.socket.parent
    state = root / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", state], check=True)
    try:
        args = ("joe/tsp", "--endpoint", service.endpoint, "--state-dir", str(state))
        with Mount(root, *args) as mount:
            mount.sh("mkdir executions/j")
            room = os.statvfs(state).f_bavail * os.statvfs(state).f_frsize
            (state / "filler").write_bytes(bytes(room - 1_500_000))
            writing = mount.spawn("python3", "-c", HALF, str(state / "filler"))
            assert writing.wait(30) == 0, writing.communicate()
            assert not (state / "filler").exists()
            assert service.only().inputs == {"coords": b"x" * 4_000_000}
            mount.sh("echo 1 > executions/j/start")
    finally:
        subprocess.run(["umount", "-l", state], check=False)


def test_a_backup_that_was_renamed_while_its_upload_waited_was_uploaded(root: Path) -> None:
    release = threading.Event()
    with FakeService(root / "s.sock", inputs=None) as service:
        service.fault("upload", delayed(release))
        with Mount(root, "joe/tsp", "--endpoint", service.endpoint) as mount:
            mount.sh("mkdir executions/j; cd executions/j/input; echo one > .a; mv .a coords;"
                     "echo two > .b; mv .b coords; mv coords coords~")  # fmt: skip
            until(lambda: service.count("upload"))
            release.set()
            mount.sh("cd executions/j; rm input/coords~; echo final > input/coords; echo 1 > start")
        assert service.only().inputs == {"coords": b"final\n"}


def test_after_an_interrupted_mkdir_its_name_was_taken(mount: Mount, service: FakeService) -> None:
    release = threading.Event()
    service.fault("create", delayed(release), times=1)
    making = mount.spawn("mkdir", "executions/j")
    until(lambda: service.count("create"))
    making.send_signal(signal.SIGINT)
    assert making.wait(20) != 0
    mount.sh("mkdir executions/j; test -d executions/j")
    release.set()
    until(lambda: service.count("terminate"))
    assert mount.out("cat executions/j/status") == "pending\n"


def test_staged_inputs_of_forgotten_executions_stayed_for_ever(job: Mount) -> None:
    job.sh("cp /etc/hostname executions/j/input/coords")
    (kept,) = (job.root / "state").rglob("staging/*")
    (kept.parent / "4711").mkdir()
    (kept.parent / "4711" / "1").touch()
    job.umount()
    job.mount()
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    assert job.out("cat executions/j/input/coords") == Path("/etc/hostname").read_text()


def test_umount_force_under_an_upload_took_five_seconds_and_killed(service: FakeService) -> None:
    release = threading.Event()
    root, env = service.socket.parent, {"PIFOPFS_SHUTDOWN_GRACE": "60"}
    with Mount(root, "joe/tsp", "--endpoint", service.endpoint, env=env) as mount:
        mount.sh("mkdir executions/j")
        service.fault("upload", delayed(release))
        mount.spawn("cp", "/etc/hostname", "executions/j/input/coords")
        until(lambda: service.count("upload"))
        mount.umount("--force")
        assert not list((root / "state").rglob("names.sqlite-wal"))  # ended in order, not killed
        release.set()


def test_a_copy_that_was_stopped_for_a_while_failed(job: Mount, service: FakeService) -> None:
    """Ctrl-Z and fg: its close was interrupted."""
    release = threading.Event()
    service.fault("upload", delayed(release), times=1)
    copying = job.spawn("cp", "/etc/hostname", "executions/j/input/coords")
    until(lambda: service.count("upload"))
    copying.send_signal(signal.SIGTSTP)
    with pytest.raises(subprocess.TimeoutExpired):  # several looks for signals long
        copying.wait(1)
    copying.send_signal(signal.SIGCONT)
    release.set()
    assert copying.wait(20) == 0
