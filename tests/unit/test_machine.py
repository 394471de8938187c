"""Processes, private folders, locks, and where sockets may be."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from pifopfs import machine
from pifopfs.errors import SetupError


def test_the_start_time_of_a_process_and_of_none() -> None:
    assert machine.start_time(os.getpid()) == machine.start_time(os.getpid())
    process = subprocess.Popen(["sleep", "60"])
    assert machine.start_time(process.pid) is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert machine.start_time(process.pid) is None
    process.wait()
    assert machine.start_time(process.pid) is None


def test_regression_a_process_whose_name_is_not_utf8_has_a_start_time(tmp_path: Path) -> None:
    program = tmp_path / "aaaaaaaaaaaaaaü"  # the kernel cuts names in mid-character
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    process = subprocess.Popen([str(program), "60"])
    try:
        assert machine.start_time(process.pid) is not None
    finally:
        process.kill()
        process.wait()


HIDDEN = """
import os, signal, time
from pifopfs.machine import is_hidden, keep_memory_private, start_time
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    keep_memory_private()
    os.write(writing, b"x")
    time.sleep(60)
os.read(reading, 1)
assert start_time(child) is None
assert is_hidden(child)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
assert not is_hidden(child)
assert not is_hidden(os.getpid())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount another /proc")
def test_regression_where_proc_hides_processes_every_daemon_counted_as_dead() -> None:
    script = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh",
         sys.executable, "-c", HIDDEN],
        check=True, timeout=30,
    )  # fmt: skip


def test_a_private_folder_is_made_and_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    machine.private_folder(folder)
    folder.chmod(0o755)
    machine.private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_is_a_link_a_file_or_anothers_is_not_private(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    for name in ("link", "file"):
        with pytest.raises(SetupError, match=name):
            machine.private_folder(tmp_path / name)
    if os.getuid() == 0:
        os.chown(tmp_path / "real", 1, 1)
        with pytest.raises(SetupError, match="not a folder of yours"):
            machine.private_folder(tmp_path / "real")


def test_without_a_runtime_folder_of_the_session_there_is_one_and_no_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with warnings.catch_warnings(record=True) as caught:
        folder = machine.runtime_folder("test-of-pifopfs")
    assert caught == []
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()


def test_a_path_that_is_too_long_for_a_socket_says_what_to_do() -> None:
    path = Path("/" + "x" * 106)
    assert machine.check_socket_path(path) == path
    with pytest.raises(SetupError, match="XDG_RUNTIME_DIR"):
        machine.check_socket_path(Path("/" + "x" * 107))


def test_a_lock_is_held_by_one_process_and_gone_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from pifopfs.machine import try_lock\n"
        "print(try_lock(Path(sys.argv[1])) is not None, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert machine.try_lock(path) is None
    process.kill()
    process.communicate()
    handle = machine.try_lock(path)
    assert handle is not None
    os.close(handle)


def test_mounts_are_known_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {mounted.mountpoint for mounted in machine.mounts()}
    assert {Path("/"), Path("/proc")} <= known
    line = b"36 35 98:0 / /a\\040b\\134c\\377\x85 rw - fuse.x joe/t\\040 rw\n"
    monkeypatch.setattr(Path, "read_bytes", lambda _: line)
    path = Path(os.fsdecode(b"/a b\\c\xff\x85"))
    assert machine.mounts() == [machine.Mounted(path, "fuse.x", "joe/t ", os.makedev(98, 0))]
