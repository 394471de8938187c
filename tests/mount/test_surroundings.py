"""What a command finds around it: closed streams, a deleted folder, odd bytes, locks, proxies."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, refuse
from tests.mount.harness import PIFOPFS, Mount

COMMAND = shlex.join(PIFOPFS)


@pytest.fixture
def unmounted(root: Path, service: FakeService) -> Mount:
    """A mount on the fake service that is not mounted yet."""
    return Mount(root, "joe/tsp", "--endpoint", service.endpoint)


def shell(mount: Mount, script: str, code: int = 0) -> str:
    """Run a script outside the mount; its stderr, where the exit code is this one.

    `pifopfs` is the command, `mount` the one that mounts.
    """
    arguments = shlex.join(["mount", mount.target, str(mount.path), *mount.args])
    functions = f'pifopfs() {{ {COMMAND} "$@"; }}; mount() {{ pifopfs {arguments} "$@"; }}'
    result = subprocess.run(
        ["bash", "-c", f"{functions}\n{script}"],
        env=mount.env | {"M": str(mount.path)},
        cwd=mount.root,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=60,
        check=False,
    )
    assert result.returncode == code, (result.stdout, result.stderr)
    return result.stderr


def sentence(stderr: str, *words: str) -> None:
    """It is one line of ours, with these words."""
    assert stderr.startswith("pifopfs: ")
    assert len(stderr.splitlines()) == 1, stderr
    for word in words:
        assert word in stderr


# ── Streams ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_mount_with_closed_streams_works(unmounted: Mount, closed: str) -> None:
    try:
        shell(unmounted, f"mount {closed}")
        unmounted.sh("mkdir executions/j; cat executions/j/status")
        assert "Traceback" not in unmounted.log
        shell(unmounted, f"pifopfs umount $M {closed}")
        assert not unmounted.mounted()
    finally:
        unmounted.clean_up()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_a_failure_with_closed_streams_keeps_its_exit_code(unmounted: Mount, closed: str) -> None:
    unmounted.path.rmdir()
    stderr = shell(unmounted, f"mount {closed}", 6)
    if "2>" not in closed:
        sentence(stderr, "does not exist")
    stderr = shell(unmounted, f"pifopfs umount $M {closed}", 6)


@pytest.mark.parametrize("arguments", ["--help", "--version", "mount --help"])
def test_an_output_that_is_full_is_told_in_a_sentence(unmounted: Mount, arguments: str) -> None:
    sentence(shell(unmounted, f"pifopfs {arguments} >/dev/full", 1), "No space left")
    shell(unmounted, f"pifopfs {arguments} >&-")


def test_a_daemon_keeps_nothing_of_what_its_caller_had_open(unmounted: Mount) -> None:
    try:
        shell(unmounted, "exec 9>lock 5</dev/null 200>x; flock -n 9; mount")
        shell(unmounted, "exec 9>lock; flock -n 9")
        opened = {entry.readlink() for entry in Path(f"/proc/{unmounted.pid}/fd").iterdir()}
        assert not opened & {unmounted.root / "lock", unmounted.root / "x"}
    finally:
        unmounted.clean_up()


# ── Folders ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "command",
    [
        "pifopfs mount joe/tsp mnt",
        "pifopfs mount ./fn /",
        "mount --state-dir state",
        "mount --api-key-file key",
        "pifopfs umount mnt",
        "pifopfs umount --stop-jobs mnt",
        "pifopfs forget executions/x",
        "pifopfs serve .",
        "pifopfs keys master joe/fn --state-dir state",
        "pifopfs serve-folder .",
    ],
)
def test_in_a_deleted_folder_a_relative_path_is_told_in_a_sentence(
    unmounted: Mount, command: str
) -> None:
    stderr = shell(unmounted, f"mkdir gone; cd gone; rmdir ../gone; {command}", 2)
    sentence(stderr, "has been deleted")


def test_in_a_deleted_folder_whole_paths_work(unmounted: Mount) -> None:
    try:
        shell(unmounted, "mkdir gone; cd gone; rmdir ../gone; mount && pifopfs umount $M")
    finally:
        unmounted.clean_up()


@pytest.mark.parametrize("flag", ["--state-dir", "--cache-dir"])
def test_a_folder_that_cannot_be_made(unmounted: Mount, flag: str) -> None:
    sentence(shell(unmounted, f"mount {flag} /proc/nowhere", 8), "/proc/nowhere")
    sentence(shell(unmounted, f"touch file; mount {flag} file/x", 8), "file/x")
    assert not unmounted.mounted()


def test_a_runtime_folder_that_is_too_long_for_a_socket(unmounted: Mount) -> None:
    long = unmounted.root / ("x" * 100)
    long.mkdir(mode=0o700)
    unmounted.env["XDG_RUNTIME_DIR"] = str(long)
    sentence(shell(unmounted, "mount", 8), "too long", "XDG_RUNTIME_DIR")
    assert not unmounted.mounted()


def test_a_folder_is_served_by_hand_with_a_relative_path(
    unmounted: Mount, make_function: Callable[..., Path]
) -> None:
    make_function("true")
    unmounted.target, unmounted.args = "./fn", ()
    try:
        shell(unmounted, "pifopfs serve-folder fn --linger 60 && mount")
        unmounted.sh("mkdir executions/j; cat executions/j/status")
    finally:
        unmounted.clean_up()
    assert not list((unmounted.root / "run" / "pifopfs" / "folders").glob("*.lease"))


# ── Names that are not UTF-8 ──────────────────────────────────────────────────────────────────


def test_a_mountpoint_that_is_not_utf8(unmounted: Mount) -> None:
    """One that is refused: other tests read the table of mounts as UTF-8."""
    args = shlex.join(unmounted.args)
    script = f"m=$(printf 'm\\377'); mkdir $m; touch $m/x; pifopfs mount joe/tsp $m {args}"
    sentence(shell(unmounted, script, 6), r"m\udcff", "not empty")
    assert r"m\udcff" in unmounted.log
    assert "Traceback" not in unmounted.log


def test_a_function_that_is_not_utf8(unmounted: Mount, service: FakeService) -> None:
    service.fault("function", refuse(404, "no such function"))
    unmounted.target = "joe/t\udcff"
    sentence(shell(unmounted, "mount", 3), r"joe/t\udcff", "no such function")
    assert r"joe/t\udcff" in unmounted.log
    assert "Traceback" not in unmounted.log


# ── The environment ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("PIFOPFS_LOG_LEVEL", "loud", 2),
        ("ALL_PROXY", "socks5://host:1", 5),
        ("HTTPS_PROXY", "ftp://foo", 5),
        ("SSL_CERT_FILE", "/nope", 5),
        ("SSL_CERT_FILE", "/etc/passwd", 5),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    unmounted: Mount, variable: str, value: str, code: int
) -> None:
    for name in ("all_proxy", "https_proxy", "no_proxy"):
        unmounted.env.pop(name, None)
        unmounted.env.pop(name.upper(), None)
    unmounted.env[variable] = value
    unmounted.args = ("--endpoint", "https://localhost:1")
    sentence(shell(unmounted, "mount", code), variable, value.partition(":")[0])


@pytest.mark.parametrize("endpoint", ["https://a..b", "https://xn--", "https://☃..", "a" * 300])
def test_a_host_that_cannot_be_looked_up(unmounted: Mount, endpoint: str) -> None:
    unmounted.args = ("--endpoint", f"https://{endpoint.removeprefix('https://')}")
    sentence(shell(unmounted, "mount", 5), "host")


@pytest.mark.parametrize("option", ["uid=4294967295", "gid=99999999999", "uid=" + "9" * 5000])
def test_an_id_that_no_user_can_have(unmounted: Mount, option: str) -> None:
    unmounted.args = (*unmounted.args, "-o", option)
    sentence(shell(unmounted, "mount", 2), option, "4294967294")


def test_a_key_file_without_end(unmounted: Mount) -> None:
    unmounted.args = (*unmounted.args, "--api-key-file", "/dev/zero")
    sentence(shell(unmounted, "mount", 4), "/dev/zero")


def test_an_outage_that_means_nothing(unmounted: Mount) -> None:
    for seconds in ("soon", "0", "inf"):
        stderr = shell(unmounted, f"mount --wait-outage {seconds}", 2)
        sentence(stderr, "--wait-outage", seconds)


# ── umount --stop-jobs ────────────────────────────────────────────────────────────────────────


def test_stop_jobs_of_a_mounted_service_unmounts_nothing(mount: Mount) -> None:
    sentence(shell(mount, "pifopfs umount --stop-jobs $M", 2), "--stop-jobs", "rmdir")
    assert mount.mounted()
    mount.sh("ls executions")
    shell(mount, "pifopfs umount --force --stop-jobs mnt", 2)
    assert mount.mounted()


def test_stop_jobs_of_what_is_not_mounted(unmounted: Mount) -> None:
    sentence(shell(unmounted, "pifopfs umount --stop-jobs $M", 6), "not mounted")
