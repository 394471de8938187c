"""The command line: one sentence and a documented exit code for everything that is not right."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from pifopfs.machine import start_time
from tests.fakeservice import FakeService, HttpsService, garbage, refuse, until
from tests.mount.harness import PIFOPFS, Mount, write_key


def fails(mount: Mount, code: int, *words: str) -> str:
    """Mounting fails with this exit code and one line that holds the words."""
    result = mount.pifopfs("mount", mount.target, str(mount.path), *mount.args)
    assert result.returncode == code, result.stderr
    assert result.stderr.startswith("pifopfs: ")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr
    assert not mount.mounted()
    return result.stderr


@pytest.fixture
def unmounted(root: Path, service: FakeService) -> Mount:
    """A mount on the fake service that is not mounted yet."""
    return Mount(root, "joe/tsp", "--endpoint", service.endpoint)


# ── What is not right ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target", ["tsp", "joe/tsp/x", "/nowhere", "./nothing", "example:x", "/"])
def test_a_function_argument_that_names_nothing(unmounted: Mount, target: str) -> None:
    unmounted.target, unmounted.args = target, ()
    fails(unmounted, 3, target if target != "/" else "function.json")


def test_a_function_that_the_service_does_not_know(unmounted: Mount, service: FakeService) -> None:
    service.fault("function", refuse(404, "no such function"))
    fails(unmounted, 3, "no such function", "AUTHOR/ID")


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_that_is_missing_or_refused(
    unmounted: Mount, service: FakeService, code: int
) -> None:
    service.fault("function", refuse(code, "who are you?"))
    fails(unmounted, 4, "who are you?", "API key")


def test_a_key_file_that_is_not_there_or_empty(unmounted: Mount) -> None:
    empty = write_key(unmounted.root / "empty", "")
    args = unmounted.args
    for path in ["/nowhere/key", str(empty)]:
        unmounted.args = (*args, "--api-key-file", path)
        fails(unmounted, 4, path)


@pytest.mark.parametrize("endpoint", ["ftp://x", "http://example.com", "unix:", "x"])
def test_an_endpoint_that_is_none(unmounted: Mount, endpoint: str) -> None:
    unmounted.args = ("--endpoint", endpoint)
    fails(unmounted, 5, endpoint)


def test_an_endpoint_with_a_password_is_refused_without_showing_it(unmounted: Mount) -> None:
    unmounted.args = ("--endpoint", "https://joe:s3cret@example.com")
    assert "s3cret" not in fails(unmounted, 5, "example.com", "user name")


@pytest.fixture
def https(root: Path) -> Iterator[HttpsService]:
    """The fake service over TLS; its authority is in root/ca.pem."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(root / "ca.pem")
    with HttpsService(root / "unused", context) as service:
        yield service


def test_a_wrong_ca_is_refused_and_the_right_one_mounts_with_the_key(
    root: Path, https: HttpsService
) -> None:
    write_key(root / "key", "apikey_secret")
    trustme.CA().cert_pem.write_to_path(root / "other.pem")
    args = ("--endpoint", https.endpoint, "--api-key-file", str(root / "key"))
    mount = Mount(root, "joe/tsp", *args, "--ca-file", str(root / "other.pem"))
    fails(mount, 5, "certificate", "--ca-file")
    mount.args = args
    fails(mount, 5, "certificate")
    mount.args = (*args, "--ca-file", str(root / "nowhere.pem"))
    fails(mount, 5, "nowhere.pem")
    assert https.requests == []
    mount.args = (*args, "--ca-file", str(root / "ca.pem"))
    with mount:
        mount.sh("mkdir executions/j; cp /etc/hostname executions/j/input/coords")
        assert list(https.only().inputs) == ["coords"]
    assert set(https.keys) == {"Bearer apikey_secret"}


def test_a_service_that_is_down_or_answers_nonsense(unmounted: Mount, service: FakeService) -> None:
    service.fault("function", garbage)
    fails(unmounted, 5)
    service.down()
    fails(unmounted, 5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["function.json"]),
        ("{", ["function.json", "JSON"]),
        ('{"id": "fn"}', ["command"]),
        ('{"id": "a/b", "command": ["true"], "input": [], "output": []}', ["id"]),
        ('{"id": "fn", "command": ["true"], "input": [{"id": "x", "path": "../x"}]}', ["input"]),
    ],
)
def test_a_function_file_that_is_not_right(
    unmounted: Mount, content: str | None, words: list[str]
) -> None:
    folder = unmounted.root / "fn"
    folder.mkdir()
    if content is not None:
        (folder / "function.json").write_text(content)
    unmounted.target, unmounted.args = str(folder), ()
    fails(unmounted, 3, *words)


def test_an_endpoint_for_a_folder_is_refused(
    unmounted: Mount, make_function: Callable[..., Path]
) -> None:
    unmounted.target = str(make_function("true"))
    fails(unmounted, 5, "--endpoint")


def test_a_mountpoint_that_is_missing_a_file_or_not_empty(unmounted: Mount) -> None:
    unmounted.path = unmounted.root / "nowhere"
    fails(unmounted, 6, "does not exist", "mkdir -p")
    unmounted.path.write_text("x")
    fails(unmounted, 6, "not a directory")
    unmounted.path.unlink()
    unmounted.path.mkdir()
    (unmounted.path / "x").touch()
    fails(unmounted, 6, "not empty")


def test_a_mountpoint_that_is_mounted_already(mount: Mount) -> None:
    result = mount.pifopfs("mount", mount.target, str(mount.path), *mount.args)
    assert result.returncode == 6
    assert "mounted already" in result.stderr
    assert "joe/tsp" in result.stderr
    mount.sh("ls")


# > One mount at a time uses the names of a function, endpoint and state folder.
def test_a_second_mount_on_the_same_names_is_refused(mount: Mount) -> None:
    other = mount.root / "other"
    other.mkdir()
    result = mount.pifopfs("mount", mount.target, str(other), *mount.args)
    assert result.returncode == 7
    assert "--state-dir" in result.stderr
    state = ("--state-dir", str(mount.root / "second"))
    assert mount.pifopfs("mount", mount.target, str(other), *mount.args, *state).returncode == 0
    assert mount.pifopfs("umount", str(other)).returncode == 0


@pytest.mark.parametrize(
    "option", ["umask=9", "uid=nobody-at-all", "wrong", "fsname=x", "allow_other,allow_root"]
)
def test_a_fuse_option_that_means_nothing(unmounted: Mount, option: str) -> None:
    unmounted.args = (*unmounted.args, "-o", option)
    fails(unmounted, 2, option.split(",")[0].partition("=")[0])


def test_an_environment_variable_that_means_nothing(unmounted: Mount) -> None:
    unmounted.env["PIFOPFS_STALL"] = "soon"
    fails(unmounted, 2, "PIFOPFS_STALL", "soon")


def test_an_isolation_is_for_folders_and_one_of_those_there_are(
    unmounted: Mount, make_function: Callable[..., Path]
) -> None:
    unmounted.args = (*unmounted.args, "--isolation", "none")
    fails(unmounted, 2, "--isolation", "joe/tsp")
    unmounted.target, unmounted.args = str(make_function("true")), ()
    unmounted.env["PIFOPFS_ISOLATION"] = "hope"
    fails(unmounted, 2, "PIFOPFS_ISOLATION", "hope", "bubblewrap, none")


# ── What is right ─────────────────────────────────────────────────────────────────────────────


def test_mounts_shows_function_and_type(mount: Mount) -> None:
    line = next(li for li in Path("/proc/mounts").read_text().splitlines() if str(mount.path) in li)
    assert line.startswith(f"joe/tsp {mount.path} fuse.pifopfs ")
    assert "noatime" in line


# > Files belong to the user who mounted (`-o uid=,gid=`)
def test_options_reach_the_kernel_and_the_attributes(unmounted: Mount) -> None:
    unmounted.args = (*unmounted.args, "-o", "ro,noexec", "-o", "uid=1234,gid=4321,umask=022")
    with unmounted as mount:
        assert mount.out("stat -c '%u %g %a' function.json executions") == (
            "1234 4321 444\n1234 4321 755\n"
        )
        assert "Read-only" in mount.sh("mkdir executions/x", check=False).stderr
        line = next(
            li for li in Path("/proc/mounts").read_text().splitlines() if mount.root.name in li
        )
        assert "ro," in line
        assert "noexec" in line


# > Files belong to the user who mounted (`-o uid=,gid=`) and are his alone (`-o umask=`, 077
# > unless it is given). Modes show what is possible now:
#
# > control files can only be written, values only read.
def test_by_default_the_files_are_the_users_alone(job: Mount) -> None:
    assert job.out("stat -c '%u %a' executions executions/j/status executions/j/start") == (
        f"{os.getuid()} 700\n{os.getuid()} 400\n{os.getuid()} 200\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_a_signal_unmounts(unmounted: Mount, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*PIFOPFS, "mount", "-f", unmounted.target, str(unmounted.path), *unmounted.args],
        env=unmounted.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(unmounted.mounted)
        unmounted.sh("ls executions")
        process.send_signal(number)
        _, stderr = process.communicate(timeout=20)
        assert process.returncode == 0, stderr
        assert "Traceback" not in stderr
        assert not unmounted.mounted()
    finally:
        process.kill()


def test_umount_waits_until_the_daemon_has_ended(mount: Mount) -> None:
    pid = mount.pid
    mount.umount()
    assert start_time(pid) is None
    assert not mount.mounted()
    assert "not mounted" in mount.pifopfs("umount", str(mount.path)).stderr


# > `umount` says who keeps it busy,
def test_umount_of_a_busy_mount_says_who_uses_it(mount: Mount) -> None:
    sleeper = mount.spawn("sleep", "60")
    try:
        result = mount.pifopfs("umount", str(mount.path))
        assert result.returncode == 7
        assert f"sleep ({sleeper.pid}) uses {mount.path}" in result.stderr
        mount.sh("ls executions")
    finally:
        sleeper.kill()
        sleeper.wait(10)
    mount.umount()


def test_regression_umount_in_a_busy_mount_named_itself(mount: Mount) -> None:
    """As from a shell whose folder is there."""
    result = mount.sh(f"{sys.executable} -P -m pifopfs umount {mount.path}; exit $?", check=False)
    assert result.returncode == 7
    assert f") uses {mount.path}" in result.stderr
    assert result.stderr.count(" uses ") == 1


def test_umount_force_detaches_a_busy_mount(mount: Mount) -> None:
    sleeper, pid = mount.spawn("sleep", "60"), mount.pid
    try:
        mount.umount("--force")
        assert not mount.mounted()
        assert start_time(pid) is None
    finally:
        sleeper.kill()
        sleeper.wait(10)


def test_umount_of_a_dead_mount(mount: Mount) -> None:
    mount.kill()
    assert mount.mounted()
    mount.umount()
    assert not mount.mounted()


def test_umount_of_what_is_no_mount_of_ours(mount: Mount) -> None:
    for path in ["/proc", "/tmp/nowhere-at-all"]:
        assert mount.pifopfs("umount", path).returncode == 6


def test_stop_jobs_is_for_folders(mount: Mount) -> None:
    result = mount.pifopfs("umount", "--stop-jobs", str(mount.path))
    assert result.returncode == 2
    assert "rmdir" in result.stderr


def test_forget_of_a_name_that_is_not_there(mount: Mount) -> None:
    assert mount.pifopfs("forget", f"{mount.path}/executions/x").returncode == 6
    assert mount.pifopfs("forget", f"{mount.path}/x").returncode == 2
    assert mount.pifopfs("forget", "/tmp/executions/x").returncode == 6


def test_a_folders_mounts_have_one_isolation_until_its_server_ends(
    root: Path, make_function: Callable[..., Path]
) -> None:
    outside = root / "outside"
    mount = Mount(root, str(make_function(f"touch {outside}")))
    other = root / "other"
    other.mkdir()
    second = ("mount", mount.target, str(other), "--state-dir", str(root / "second"))
    with mount:
        assert '"isolation": "bubblewrap"' in mount.out("cat function.json")
        result = mount.pifopfs(*second, "--isolation", "none")
        assert result.returncode == 5
        assert "--isolation bubblewrap" in result.stderr
        assert "umount --stop-jobs" in result.stderr
        assert mount.pifopfs(*second, "--isolation", "bubblewrap").returncode == 0
        assert mount.pifopfs("umount", str(other)).returncode == 0
        mount.umount("--stop-jobs")
        mount.env["PIFOPFS_ISOLATION"] = "none"
        mount.mount()
        assert '"isolation": "none"' in mount.out("cat function.json")
        mount.sh("mkdir executions/j; echo 1 > executions/j/start; cat executions/j/wait")
        assert outside.exists()


@pytest.mark.parametrize("command", [[], ["mount"], ["umount"], ["forget"], ["serve"], ["keys"]])
def test_help_and_version(command: list[str], root: Path) -> None:
    help_ = subprocess.run(
        [*PIFOPFS, *command, "--help"], capture_output=True, text=True, check=True
    )
    assert "Exit codes" in help_.stdout
    version = subprocess.run([*PIFOPFS, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("pifopfs, version ")
