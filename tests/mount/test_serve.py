"""pifopfs serve: functions below one folder, for mounts and other clients on this machine."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pifopfs.machine import start_time
from tests.fakeservice import until
from tests.functions import write_function
from tests.mount.harness import PIFOPFS, Mount, environment


@contextmanager
def serving(
    root: Path, *args: str, under: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of root/fns, and the line that it prints when it is ready. `under`: a command that
    starts it.
    """
    process = subprocess.Popen(
        [*under, *PIFOPFS, "serve", str(root / "fns"), *args],
        env=environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate(timeout=10)


def failing(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PIFOPFS, "serve", str(root / "fns"), *args],
        env=environment(root),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_functions_are_served_on_a_socket_that_only_the_user_reaches(root: Path) -> None:
    write_function(root / "fns" / "joe" / "up", "tr a-z A-Z < a.txt > r.txt")
    write_function(root / "fns" / "eve" / "cat", "cat a.txt > r.txt")
    with serving(root) as (process, ready):
        assert ready.startswith("serving eve/cat, joe/up on unix:/")
        endpoint = ready.split(" on ")[1].strip()
        socket = Path(endpoint.removeprefix("unix:"))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        with Mount(root, "joe/up", "--endpoint", endpoint) as mount:
            mount.sh("mkdir executions/j; echo hello > executions/j/input/a")
            mount.sh("echo 1 > executions/j/start; cat executions/j/wait")
            assert mount.out("cat executions/j/output/r") == "HELLO\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert not socket.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_and_what_runs_is_told_to_be_cut_off(
    root: Path, number: signal.Signals
) -> None:
    write_function(root / "fns" / "joe" / "slow", f"echo $$ > {root}/pid; sleep 600")
    socket = root / "own" / "s.sock"
    socket.parent.mkdir(mode=0o700)
    args = ("--socket", str(socket), "--state-dir", str(root / "kept"))
    mount = Mount(root, "joe/slow", "--endpoint", f"unix:{socket}")
    with serving(root, *args) as (process, _), mount:
        mount.sh("mkdir executions/j; echo 1 > executions/j/start")
        until(lambda: (root / "pid").exists() and (root / "pid").read_text())
        process.send_signal(number)
        assert process.wait(20) == 0
        assert start_time(int((root / "pid").read_text())) is None
        result = mount.sh("mkdir executions/k", check=False)
        assert result.returncode != 0
        with serving(root, *args):
            assert mount.out("cat executions/j/wait") == "system-error\n"
            mount.sh("mkdir executions/k")


def test_a_killed_server_is_started_again_on_the_same_socket(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    with serving(root) as (process, ready):
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with serving(root) as (_, again):
        assert again == ready


def test_a_folder_without_functions(root: Path) -> None:
    result = failing(root)
    assert result.returncode == 3
    assert "is not a folder" in result.stderr
    (root / "fns").mkdir()
    result = failing(root)
    assert result.returncode == 3
    assert "AUTHOR/ID/function.json" in result.stderr


@pytest.mark.parametrize(
    ("description", "words"),
    [
        ({"id": "other"}, ["id", "'fn'"]),
        ({"author": "eve"}, ["author", "'joe'"]),
        ({"command": []}, ["command"]),
        ({"surprise": 1}, ["surprise", "no such field"]),
    ],
)
def test_a_function_file_that_is_not_right_names_the_file_the_field_and_the_mend(
    root: Path, description: dict[str, object], words: list[str]
) -> None:
    write_function(root / "fns" / "joe" / "fn", "true", **description)
    result = failing(root)
    assert result.returncode == 3
    assert result.stderr.count("\n") == 1
    for word in [str(root / "fns" / "joe" / "fn" / "function.json"), *words]:
        assert word in result.stderr


def test_a_socket_where_others_could_reach_it_is_refused(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    (root / "open").mkdir()
    (root / "open").chmod(0o755)
    result = failing(root, "--socket", str(root / "open" / "s.sock"))
    assert result.returncode == 2
    assert "0700" in result.stderr
    result = failing(root, "--socket", str(root / "nowhere" / "s.sock"))
    assert result.returncode == 2


def test_a_second_server_on_the_same_store_or_socket_is_refused(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    with serving(root) as (_, ready):
        result = failing(root)
        assert result.returncode == 7
        assert "--state-dir" in result.stderr
        socket = ready.split("unix:")[1].strip()
        result = failing(root, "--state-dir", str(root / "other"), "--socket", socket)
        assert result.returncode == 5
        assert "another server" in result.stderr


def test_requests_that_come_while_it_is_mounted_elsewhere_are_answered(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    with serving(root) as (_, ready):
        socket = ready.split("unix:")[1].strip()
        answer = subprocess.run(
            ["curl", "-s", "--unix-socket", socket, "-X", "POST",
             "http://localhost/joe/fn/executions"],
            capture_output=True, text=True, check=True, timeout=20,
            env=os.environ | {"no_proxy": "*"},
        )  # fmt: skip
        assert json.loads(answer.stdout)["status"] == "pending"


# ── What once went wrong ──────────────────────────────────────────────────────────────────────


def test_regression_a_file_that_was_named_as_the_socket_is_kept(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    (root / "own").mkdir(mode=0o700)
    (root / "own" / "precious").write_text("precious")
    result = failing(root, "--socket", str(root / "own" / "precious"))
    assert result.returncode == 5
    assert "is not a socket; remove it, or name another" in result.stderr
    assert (root / "own" / "precious").read_text() == "precious"


def curl(socket: str, method: str, path: str) -> dict[str, object]:
    """The JSON answer to a request."""
    answer = subprocess.run(
        ["curl", "-s", "--unix-socket", socket, "-X", method, f"http://localhost{path}"],
        capture_output=True, text=True, check=True, timeout=20, env=os.environ | {"no_proxy": "*"},
    )  # fmt: skip
    return dict(json.loads(answer.stdout))


def ended(socket: str, execution: str) -> dict[str, object]:
    """The execution, once it has ended."""
    curl(socket, "POST", f"{execution}/start")
    until(lambda: curl(socket, "GET", execution)["status"] == "ended")
    return curl(socket, "GET", execution)


def test_a_server_may_open_many_files_and_its_programs_as_many_as_before(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn", "ulimit -Sn; ulimit -Hn")
    with serving(root, under=("prlimit", "--nofile=300:700")) as (process, ready):
        socket = ready.split("unix:")[1].strip()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert "Max open files            700                  700" in limits
        id_ = curl(socket, "POST", "/joe/fn/executions")["id"]
        assert ended(socket, f"/joe/fn/executions/{id_}")["log"] == "300\n700\n"


@pytest.mark.skipif(os.getuid() != 0, reason="a small disk is mounted as root")
def test_regression_a_full_disk_ends_no_server_and_keeps_none_from_starting(root: Path) -> None:
    """The end of a run that could not be recorded ended the server and all that ran on it."""
    small = root / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], check=True)
    write_function(root / "fns" / "joe" / "fill", "cat /dev/zero > r.txt; yes | head -n 500000")
    args = ("--state-dir", str(small))
    try:
        with serving(root, *args) as (process, ready):
            socket = ready.split("unix:")[1].strip()
            ids = [curl(socket, "POST", "/joe/fill/executions")["id"] for _ in range(3)]
            first, second, third = [f"/joe/fill/executions/{id_}" for id_ in ids]
            assert ended(socket, first)["exit_code"] is not None
            ended(socket, second)
            answers = [curl(socket, "POST", "/joe/fill/executions") for _ in range(40)]
            made = [answer["id"] for answer in answers if "id" in answer]
            assert {path.name for path in (small / "executions").iterdir()} == {*ids, *made}
            process.kill()
            process.wait(10)
        with serving(root, *args) as (process, _):
            assert curl(socket, "GET", first)["status"] == "ended"
            assert curl(socket, "DELETE", first)["id"] == ids[0]
            assert curl(socket, "DELETE", second)["id"] == ids[1]
            assert curl(socket, "GET", third)["status"] == "pending"
            assert curl(socket, "POST", "/joe/fill/executions")["status"] == "pending"
            assert process.poll() is None
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_regression_a_program_that_nests_folders_keeps_no_server_from_starting(
    root: Path,
) -> None:
    write_function(
        root / "fns" / "joe" / "deep",
        "i=0; while [ $i -lt 1500 ]; do mkdir d && cd -P d || exit 1; i=$((i + 1)); done",
    )
    state = root / "kept"
    with serving(root, "--state-dir", str(state)) as (process, ready):
        socket = ready.split("unix:")[1].strip()
        id_ = curl(socket, "POST", "/joe/deep/executions")["id"]
        assert ended(socket, f"/joe/deep/executions/{id_}")["exit_code"] == 0
        process.kill()
        process.wait(10)
    for part in state.glob("store.sqlite*"):
        part.unlink()  # its folder is a stray now
    with serving(root, "--state-dir", str(state)):
        until(lambda: list((state / "executions").iterdir()) == [])
