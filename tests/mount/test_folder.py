"""A folder, mounted: the embedded server, from the first mount to the last run."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pifopfs.machine import start_time
from tests.fakeservice import until
from tests.functions import EXAMPLES, write_function
from tests.mount.harness import PIFOPFS, Mount

LINGER = {"PIFOPFS_SERVER_LINGER": "0.3"}


def server_pid(mount: Mount) -> int | None:
    """The embedded server of this test."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            environ = (process / "environ").read_bytes()
        except OSError:
            continue
        runtime = f"XDG_RUNTIME_DIR={mount.env['XDG_RUNTIME_DIR']}".encode()
        if b"serve-folder" in words and runtime in environ.split(b"\0"):
            return int(process.name)
    return None


def folder_mount(folder: Path, root: Path, *args: str) -> Mount:
    return Mount(root, str(folder), *args, env=LINGER)


STARTED_AGAIN = "pifopfs.server.embedded.guest: the server of .* has ended: starting it again"
"""What a daemon says whose server a test has ended."""

UNCONFINED = ("--isolation", "none")
"""For programs that tell of themselves in this machine's files, or wait for one."""


# ── The main job ──────────────────────────────────────────────────────────────────────────────


def test_the_main_job_with_shell_tools(root: Path) -> None:
    with Mount(root, "example:tsp") as mount:
        cities = EXAMPLES / "tsp" / "berlin52.csv"
        mount.sh("mkdir executions/job1")
        mount.sh(f"cp {cities} executions/job1/input/coords")
        mount.sh("echo 1 > executions/job1/start")
        assert mount.out("cat executions/job1/wait") == "normal\n"
        log = mount.out("cat executions/job1/log")
        assert log.startswith("52 cities")
        mount.sh(f"cp executions/job1/output/result {root}/result")
        mount.sh("rmdir executions/job1")
        assert mount.out("ls executions") == ""
        result = json.loads((root / "result").read_text())
        rows = cities.read_text().split()[1:]
        at = [tuple(map(float, row.split(","))) for row in rows]
        tour = result["tour"]
        assert sorted(tour) == list(range(52))
        length = sum(int(math.dist(at[tour[i - 1]], at[tour[i]]) + 0.5) for i in range(52))
        assert result["length"] == length
        assert length <= 7542 * 1.02


def test_a_legacy_program_that_only_knows_files(root: Path) -> None:
    with Mount(root, "example:glpk") as mount:
        mount.sh(f"mkdir executions/j; cp {EXAMPLES}/glpk/diet.mod executions/j/input/model")
        mount.sh("echo 1 > executions/j/start; cat executions/j/wait")
        assert "Objective:  total = 14.42857143" in mount.out("cat executions/j/output/solution")
        assert mount.out("cat executions/j/exit_code") == "0\n"


def test_a_program_that_is_not_installed_says_so_in_the_log(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = root / "bin"
    tools.mkdir()
    for name in ("sh", "fusermount3"):
        (tools / name).symlink_to(
            subprocess.check_output(["which", name], text=True).strip()  # glpsol is not among them
        )
    mount = Mount(root, "example:glpk", "--isolation", "none")  # the sandbox has a path of its own
    mount.env["PATH"] = str(tools)
    with mount:
        mount.sh(
            "mkdir executions/j; echo x > executions/j/input/model; echo 1 > executions/j/start"
        )
        mount.sh("cat executions/j/wait")
        assert "apt-get install glpk-utils" in mount.out("cat executions/j/log")
        assert mount.out("cat executions/j/exit_code") == "127\n"


def test_make_calls_the_function(root: Path, make_function: Callable[..., Path]) -> None:
    folder = make_function("tr a-z A-Z < a.txt > r.txt")
    with folder_mount(folder, root) as mount:
        (root / "in").write_text("hello\n")
        (root / "Makefile").write_text(
            f"E = {mount.path}/executions/$@.d\n"
            "out: in\n"
            "\tmkdir $E\n\tcp in $E/input/a\n\techo 1 > $E/start\n"
            "\tgrep -qx normal $E/wait\n\tcp $E/output/r $@\n\trmdir $E\n"
        )
        make = ["make", "-s", "-C", str(root), "out"]
        subprocess.run(make, check=True, timeout=30)
        assert (root / "out").read_text() == "HELLO\n"
        assert mount.out("ls executions") == ""


def test_the_log_and_stop_of_a_program_that_runs(
    root: Path, make_function: Callable[..., Path]
) -> None:
    with folder_mount(make_function("echo up; sleep 600"), root) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        until(lambda: mount.out("cat executions/j/log") == "up\n")
        assert mount.out("cat executions/j/status") == "running\n"
        mount.sh("echo 1 > executions/j/stop")
        assert mount.out("cat executions/j/status executions/j/end_reason executions/j/wait") == (
            "ended\nnormal\nnormal\n"
        )
        assert json.loads(mount.out("cat executions/j/status.json"))["stopped"] is True


def test_names_of_outputs_and_inputs_are_the_functions(
    root: Path, make_function: Callable[..., Path]
) -> None:
    with folder_mount(make_function("cat a.txt > r.txt"), root) as mount:
        assert json.loads(mount.out("cat function.json")) == {
            "id": "fn",
            "author": "local",
            "input": [{"id": "a", "path": "a.txt"}],
            "output": [{"id": "r", "path": "r.txt"}],
            "isolation": "bubblewrap",
        }
        line = next(li for li in Path("/proc/mounts").read_text().splitlines() if str(root) in li)
        assert line.startswith("local/fn ")


# ── The life of the server ────────────────────────────────────────────────────────────────────


# > One for each folder (by its real path) and user, shared by the folder's mounts.
def test_a_second_mount_of_a_folder_shares_the_server(
    root: Path, make_function: Callable[..., Path]
) -> None:
    folder = make_function("cat a.txt > r.txt")
    with folder_mount(folder, root) as first:
        pid = server_pid(first)
        second = folder_mount(folder, root, "--state-dir", str(root / "second"))
        second.path = root / "mnt2"
        second.path.mkdir()
        second.env = first.env
        try:
            second.mount()
            assert server_pid(first) == pid
            id_ = first.out("mkdir executions/j; cat executions/j/id").strip()
            assert second.out(f"cat executions/{id_}/status") == "pending\n"
        finally:
            second.pifopfs("umount", "--force", str(second.path))


def test_mounts_at_the_same_time_start_one_server(
    root: Path, make_function: Callable[..., Path]
) -> None:
    folder = make_function()
    mounts = [folder_mount(folder, root, "--state-dir", str(root / f"s{n}")) for n in range(4)]
    for n, mount in enumerate(mounts):
        mount.path = root / f"m{n}"
        mount.path.mkdir()
    processes: list[subprocess.Popen[str]] = []
    try:
        processes += [
            subprocess.Popen(
                [*PIFOPFS, "mount", str(folder), str(m.path), *m.args],
                env=m.env,
                cwd=root,
                stderr=subprocess.PIPE,
                text=True,
            )
            for m in mounts
        ]
        for process in processes:
            _, stderr = process.communicate(timeout=60)
            assert process.returncode == 0, stderr
        id_ = mounts[0].out("mkdir executions/j; cat executions/j/id").strip()
        for mount in mounts[1:]:
            assert mount.out(f"cat executions/{id_}/status") == "pending\n"
    finally:
        for process in processes:
            process.communicate(timeout=60)
        for mount in mounts:
            mount.clean_up()


# > and ends a minute after the last mount and the last run (`PIFOPFS_SERVER_LINGER`, in
# > seconds, for the mount that starts it);
def test_the_server_ends_some_time_after_the_last_mount(
    root: Path, make_function: Callable[..., Path]
) -> None:
    with folder_mount(make_function(), root) as mount:
        pid = until(lambda: server_pid(mount))
        mount.umount()
        until(lambda: start_time(pid) is None)
        mount.mount()
        assert server_pid(mount) != pid


# > It outlives the unmount and a killed daemon while programs run,
def test_what_runs_outlives_the_unmount_and_a_killed_daemon(
    root: Path, make_function: Callable[..., Path]
) -> None:
    folder = make_function(f"while ! [ -e {root}/go ]; do sleep 0.05; done; echo 42 > r.txt")
    with folder_mount(folder, root, *UNCONFINED) as mount:
        mount.sh("mkdir executions/j executions/k")
        mount.sh("echo 1 > executions/j/start")
        pid = until(lambda: server_pid(mount))
        mount.umount()
        mount.mount()
        mount.sh("echo 1 > executions/k/start")
        mount.kill()
        mount.mount()
        assert server_pid(mount) == pid
        (root / "go").touch()
        assert mount.out("cat executions/j/wait executions/k/wait") == "normal\nnormal\n"
        assert mount.out("cat executions/j/output/r executions/k/output/r") == "42\n42\n"


def test_a_server_that_runs_something_stays_up_until_that_has_ended(
    root: Path, make_function: Callable[..., Path]
) -> None:
    folder = make_function(f"while ! [ -e {root}/go ]; do sleep 0.05; done; echo 42 > r.txt")
    with folder_mount(folder, root, *UNCONFINED) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        pid = until(lambda: server_pid(mount))
        mount.umount()
        with pytest.raises(subprocess.TimeoutExpired):  # five times as long as it lingers
            subprocess.run(["tail", f"--pid={pid}", "-f", "/dev/null"], check=False, timeout=1.5)
        (root / "go").touch()
        until(lambda: start_time(pid) is None)
        mount.mount()
        assert mount.out("cat executions/j/status executions/j/output/r") == "ended\n42\n"


# > `umount --stop-jobs` ends it at once, and stops what runs.
def test_stop_jobs_ends_the_server_and_what_runs_on_it_now(
    root: Path, make_function: Callable[..., Path]
) -> None:
    with folder_mount(
        make_function(f"echo $$ > {root}/pid; sleep 600"), root, *UNCONFINED
    ) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        until(lambda: (root / "pid").exists() and (root / "pid").read_text())
        server, program = until(lambda: server_pid(mount)), int((root / "pid").read_text())
        mount.umount("--stop-jobs")
        assert start_time(server) is None
        assert start_time(program) is None
        mount.mount()
        assert mount.out("cat executions/j/status") == "ended\n"
        assert json.loads(mount.out("cat executions/j/status.json"))["stopped"] is True


def test_stop_jobs_after_the_daemon_was_killed(
    root: Path, make_function: Callable[..., Path]
) -> None:
    with folder_mount(make_function("sleep 600"), root) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        server = until(lambda: server_pid(mount))
        mount.kill()
        mount.umount("--stop-jobs")
        assert start_time(server) is None
        assert not mount.mounted()


# > Should it die, a mount starts it again, and what ran is then told as `system-error`.
def test_a_server_that_is_killed_is_started_again_and_tells_what_was_cut_off(
    root: Path, make_function: Callable[..., Path]
) -> None:
    with folder_mount(
        make_function(f"echo $$ > {root}/pid; sleep 600"), root, *UNCONFINED
    ) as mount:
        mount.expected.append(STARTED_AGAIN)
        mount.sh("mkdir executions/j executions/k; echo kept > executions/k/input/a")
        mount.sh("echo 1 > executions/j/start")
        until(lambda: (root / "pid").exists() and (root / "pid").read_text())
        server, program = until(lambda: server_pid(mount)), int((root / "pid").read_text())
        os.kill(server, signal.SIGKILL)
        assert mount.out("cat executions/j/wait") == "system-error\n"
        assert "cut off" in mount.out("cat executions/j/log")
        until(lambda: start_time(program) is None)
        assert mount.out("cat executions/k/status executions/k/input/a") == "pending\nkept\n"
        mount.sh("echo 1 > executions/k/start")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_regression_a_signal_ends_the_server_in_order(
    root: Path, make_function: Callable[..., Path], number: signal.Signals
) -> None:
    """It died of it, and its programs ran on."""
    with folder_mount(
        make_function(f"echo $$ > {root}/pid; sleep 600"), root, *UNCONFINED
    ) as mount:
        mount.expected.append(STARTED_AGAIN)
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        until(lambda: (root / "pid").exists() and (root / "pid").read_text())
        server, program = until(lambda: server_pid(mount)), int((root / "pid").read_text())
        os.kill(server, number)
        until(lambda: start_time(server) is None)
        assert start_time(program) is None
        assert mount.out("cat executions/j/wait") == "system-error\n"
        assert "cut off: the server ended" in mount.out("cat executions/j/log")


def test_regression_a_runtime_folder_that_went_while_something_runs(
    root: Path, make_function: Callable[..., Path]
) -> None:
    """The lock was in the state folder, the sockets had gone: no new mount came to be."""
    with folder_mount(make_function("echo up; sleep 600"), root) as mount:
        mount.expected.append(r"pifopfs.server.sockets: .* was gone: listening on")
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        until(lambda: mount.out("cat executions/j/log") == "up\n")
        pid = until(lambda: server_pid(mount))
        mount.umount()
        for name in ("http", "lease"):
            (path,) = (root / "run" / "pifopfs" / "folders").glob(f"*.{name}")
            path.unlink()
        (root / "run2").mkdir(mode=0o700)
        mount.env["XDG_RUNTIME_DIR"] = str(root / "run2")
        mount.mount()
        assert mount.out("cat executions/j/status") == "running\n"
        mount.sh("echo 1 > executions/j/stop")
        mount.umount("--stop-jobs")
        assert start_time(pid) is None


def test_regression_a_dead_mount_below_the_folder_fails_no_run(
    root: Path, make_function: Callable[..., Path]
) -> None:
    folder = make_function("ls > r.txt")
    (folder / "mnt").mkdir()
    dead = folder_mount(folder, root)
    dead.path = folder / "mnt"
    live = folder_mount(folder, root, "--state-dir", str(root / "live"))
    live.env = dead.env
    with dead:
        dead.kill()
        with live:
            live.sh("mkdir executions/j; echo 1 > executions/j/start")
            assert live.out("cat executions/j/wait") == "normal\n"
            assert "mnt" not in live.out("cat executions/j/output/r").split()


def test_a_server_that_cannot_start_says_why(
    root: Path, make_function: Callable[..., Path]
) -> None:
    mount = folder_mount(make_function(), root)
    folders = root / "state" / "pifopfs" / "folders"
    folders.parent.mkdir()
    folders.write_text("in the way")
    result = mount.pifopfs("mount", mount.target, str(mount.path))
    assert result.returncode != 0
    assert str(folders) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not mount.mounted()


def test_a_key_is_not_handed_to_the_programs_of_a_folder(
    root: Path, make_function: Callable[..., Path]
) -> None:
    mount = folder_mount(
        make_function("tr '\\0' '\\n' < /proc/$PPID/environ > r.txt"), root, *UNCONFINED
    )
    mount.env["PIFOPFS_API_KEY"] = "apikey_secret"
    with mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start; cat executions/j/wait")
        told = mount.out("cat executions/j/output/r")
        assert "XDG_STATE_HOME" in told
        assert "secret" not in told


def test_a_mount_below_the_functions_own_folder_is_not_copied_into_its_runs(
    root: Path, make_function: Callable[..., Path]
) -> None:
    folder = make_function("ls > r.txt")
    mount = folder_mount(folder, root, "--state-dir", str(folder / "state"))
    mount.env["XDG_STATE_HOME"] = str(folder / "xdg")
    mount.path = folder / "mnt"
    mount.path.mkdir()
    with mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start; cat executions/j/wait")
        listing = mount.out("cat executions/j/output/r").split()
        assert "mnt" not in listing
        assert "run.sh" in listing


def test_nothing_of_an_execution_is_left_after_rmdir(
    root: Path, make_function: Callable[..., Path]
) -> None:
    folder = make_function("mkdir d; touch d/x; chmod 0 d; cat a.txt > r.txt")
    with folder_mount(folder, root) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/input/a; echo 1 > executions/j/start")
        mount.sh("cat executions/j/wait executions/j/output/r; rmdir executions/j")
        assert list((root / "state").rglob("exec_*")) == []
        assert list((root / "cache").rglob("=exec*")) == []
        assert list((root / "state").rglob("staging/*")) == []


def test_a_function_of_a_folder_whose_description_changes_while_mounted(
    root: Path, make_function: Callable[..., Path]
) -> None:
    folder = make_function("cat a.txt > r.txt")
    with folder_mount(folder, root) as mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/input/a")
        (folder / "function.json").write_text("{")
        result = mount.sh("echo 1 > executions/j/start", check=False)
        assert result.returncode != 0
        assert "function.json" in mount.out("cat executions/j/error")
        write_function(folder, "cat a.txt > r.txt")
        mount.sh("echo 1 > executions/j/start; cat executions/j/wait executions/j/output/r")


def test_a_mount_that_is_refused_leaves_no_server(
    root: Path, make_function: Callable[..., Path]
) -> None:
    mount = folder_mount(make_function(), root)
    (mount.path / "x").touch()
    assert mount.pifopfs("mount", mount.target, str(mount.path)).returncode == 6
    assert mount.pifopfs("mount", mount.target, str(mount.path), "-o", "no").returncode == 2
    until(lambda: server_pid(mount) is None)
    assert not list((root / "state" / "pifopfs").glob("folders"))
