"""pifopfs serve: functions below one folder, over HTTPS or on a socket of the user's alone."""

from __future__ import annotations

import json
import os
import signal
import socket as sockets
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from pifopfs.machine import start_time
from tests.fakeservice import until
from tests.functions import write_function
from tests.mount.harness import PIFOPFS, Mount, environment


@contextmanager
def serving(
    root: Path, *args: str, under: tuple[str, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of root/fns, and the first line that it prints when it is ready. `under`: a command
    that starts it.
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


@pytest.fixture
def socket(root: Path) -> str:
    """Where a server can listen."""
    (root / "own").mkdir(mode=0o700)
    return str(root / "own" / "s.sock")


def failing(root: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PIFOPFS, "serve", str(root / "fns"), *args],
        env=environment(root),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_functions_are_served_on_a_socket_that_only_the_user_reaches(
    root: Path, socket: str
) -> None:
    write_function(root / "fns" / "joe" / "up", "tr a-z A-Z < a.txt > r.txt")
    write_function(root / "fns" / "eve" / "cat", "cat a.txt > r.txt")
    with serving(root, "--socket", socket) as (process, ready):
        assert ready == f"serving eve/cat, joe/up on unix:{socket}\n"
        assert stat.S_IMODE(Path(socket).stat().st_mode) == 0o600
        with Mount(root, "joe/up", "--endpoint", f"unix:{socket}") as mount:
            mount.sh("mkdir executions/j; echo hello > executions/j/input/a")
            mount.sh("echo 1 > executions/j/start; cat executions/j/wait")
            assert mount.out("cat executions/j/output/r") == "HELLO\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert not Path(socket).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_and_what_runs_is_told_to_be_cut_off(
    root: Path, socket: str, number: signal.Signals
) -> None:
    write_function(root / "fns" / "joe" / "slow", f"echo $$ > {root}/pid; sleep 600")
    args = ("--socket", socket, "--state-dir", str(root / "kept"), "--isolation", "none")
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


def test_a_killed_server_is_started_again_on_the_same_socket(root: Path, socket: str) -> None:
    write_function(root / "fns" / "joe" / "fn")
    with serving(root, "--socket", socket) as (process, ready):
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    with serving(root, "--socket", socket) as (_, again):
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


def test_a_second_server_on_the_same_store_or_socket_is_refused(root: Path, socket: str) -> None:
    write_function(root / "fns" / "joe" / "fn")
    with serving(root, "--socket", socket):
        result = failing(root, "--port", "0")
        assert result.returncode == 7
        assert "--state-dir" in result.stderr
        result = failing(root, "--state-dir", str(root / "other"), "--socket", socket)
        assert result.returncode == 5
        assert "another server" in result.stderr


# ── HTTPS ─────────────────────────────────────────────────────────────────────────────────────


def ca_file(process: subprocess.Popen[str]) -> str:
    """The certificate that a server tells in its second line."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line.startswith("certificate: /")
    assert line.endswith(" (for --ca-file)")
    return line.removeprefix("certificate: ").removesuffix(" (for --ca-file)")


def test_over_HTTPS_nothing_is_told_without_a_key_and_only_this_machine_can_ask(
    root: Path,
) -> None:
    write_function(root / "fns" / "joe" / "fn")
    with serving(root, "--port", "0") as (process, ready):
        url = ready.removeprefix("serving joe/fn on ").strip()
        trusted = ca_file(process)
        for host in ("localhost", "127.0.0.1", "[::1]"):
            answer = subprocess.run(
                ["curl", "-s", "--noproxy", "*", "--cacert", trusted, "-w", " %{http_code}",
                 f"{url.replace('localhost', host)}/joe/fn"],
                capture_output=True, text=True, check=True, timeout=20,
            )  # fmt: skip
            assert answer.stdout.endswith("} 401"), host
        addresses = {f"{host}:{url.rpartition(':')[2]}" for host in ("127.0.0.1", "[::1]")}
        assert listening(process.pid) == addresses
        assert not list((root / "run").rglob("servers/*"))


def listening(pid: int) -> set[str]:
    """The TCP addresses that a process listens on."""
    listed = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    return {line.split()[3] for line in listed.splitlines() if f"pid={pid}," in line}


def test_a_socket_takes_the_place_of_HTTPS_unless_that_is_named_too(
    root: Path, socket: str
) -> None:
    write_function(root / "fns" / "joe" / "fn")
    with serving(root, "--socket", socket) as (process, ready):
        assert ready.endswith(f" on unix:{socket}\n")
        assert listening(process.pid) == set()
    for args in (("--port", "0"), ("--port", "0", "--host", "127.0.0.1")):
        with serving(root, "--socket", socket, *args) as (process, ready):
            assert ready.endswith(f" on unix:{socket}\n")
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("serving joe/fn on ").strip()
            assert url.startswith("https://localhost:")
            assert ca_file(process)
            assert len(listening(process.pid)) == (1 if "--host" in args else 2)
            assert curl(socket, "GET", "/joe/fn")["id"] == "fn"


def test_the_same_certificate_serves_after_a_restart(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    seen = set()
    for _ in range(2):
        with serving(root, "--port", "0") as (process, _):
            seen.add(Path(ca_file(process)).read_text())
    assert len(seen) == 1


def test_the_operators_certificate_is_served_and_no_other_is_made(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(root / "key.pem")
    issued.cert_chain_pems[0].write_to_path(root / "cert.pem")
    authority.cert_pem.write_to_path(root / "ca.pem")
    args = ("--tls-cert", str(root / "cert.pem"), "--tls-key", str(root / "key.pem"))
    state = ("--state-dir", str(root / "kept"))
    with serving(root, "--port", "0", "--host", "0.0.0.0", *args, *state) as (process, ready):
        url = ready.removeprefix("serving joe/fn on ").strip()
        port = url.removeprefix("https://localhost:")
        command = ["curl", "-s", "--noproxy", "*", "--cacert", str(root / "ca.pem")]
        assert subprocess.run([*command, f"{url}/joe/fn"], check=True, capture_output=True).stdout
        assert not (root / "kept" / "tls").exists()
        assert listening(process.pid) == {f"0.0.0.0:{port}"}


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--host", "0.0.0.0"), 2, "--tls-cert"),
        (("--host", "example.org"), 2, "is no IP address"),
        (("--tls-cert", "/nowhere"), 2, "give both"),
        (("--tls-cert", "/nowhere", "--tls-key", "/nowhere"), 2, "/nowhere: No such file"),
        (("--port", "0", "--host", "127.0.0.2"), 2, "--tls-cert"),
        (("--port", "65536"), 2, "--port"),
        (("--isolation", "hope"), 2, "--isolation"),
        (("--engine", "pbs"), 2, "there is no engine pbs"),
        (("--engine-option", "cpus"), 2, "--engine-option: 'cpus' is not of the form NAME=VALUE"),
        (("--max-memory", "0"), 2, "--max-memory"),
        (("--max-memory", "nan"), 2, "--max-memory"),
        (("--max-time", "nan"), 2, "--max-time"),
        (("--max-disk", "inf"), 2, "--max-disk"),
        (("--max-processes", "9" * 20), 2, "--max-processes"),
    ],
)
def test_an_option_that_is_not_right_is_told_with_the_mend(
    root: Path, args: tuple[str, ...], code: int, words: str
) -> None:
    write_function(root / "fns" / "joe" / "fn")
    result = failing(root, *args)
    assert (result.returncode, result.stdout) == (code, "")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert not (root / "state" / "pifopfs" / "servers").exists()


def test_a_port_that_is_taken_is_told_with_the_mend(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    with serving(root, "--port", "0") as (_, ready):
        port = ready.strip().rpartition(":")[2]
        result = failing(root, "--port", port, "--state-dir", str(root / "other"))
        assert (result.returncode, result.stdout) == (5, "")
        assert f"port {port}" in result.stderr
        assert "--port" in result.stderr.partition(";")[2]


# ── Limits and isolation ──────────────────────────────────────────────────────────────────────


def test_an_operators_limits_take_the_place_of_the_defaults(root: Path, socket: str) -> None:
    write_function(root / "fns" / "joe" / "slow", "yes | head -c 3000000; sleep 600")
    args = ("--max-time", "0.02", "--max-log", "1", "--max-input", "0.001")
    with serving(root, "--socket", socket, *args):
        id_ = curl(socket, "POST", "/joe/slow/executions")["id"]
        one = f"/joe/slow/executions/{id_}"
        refused = curl(socket, "POST", f"{one}/input/a", "-d", "x" * 2000)
        assert "at most 1049 bytes" in str(refused["errorMessage"])
        execution = ended(socket, one)
        assert execution["end_reason"] == "timeout"
        kept, _, told = str(execution["log"]).partition("pifopfs: ")
        assert len(kept) == 1 << 20
        assert "truncated" in told


def test_the_isolation_is_what_was_asked_for_and_told(root: Path, socket: str) -> None:
    outside = root / "outside"
    write_function(root / "fns" / "joe" / "fn", f"touch {outside}")
    variable = "PIFOPFS_ISOLATION=none"
    for args, under, kind in [
        ((), (), "bubblewrap"),
        (("--isolation", "none"), (), "none"),
        ((), ("env", variable), "none"),
        (("--isolation", "bubblewrap"), ("env", variable), "bubblewrap"),
    ]:
        with serving(root, "--socket", socket, *args, under=under):
            assert curl(socket, "GET", "/joe/fn")["isolation"] == kind
            ended(socket, f"/joe/fn/executions/{curl(socket, 'POST', '/joe/fn')['id']}")
            assert outside.exists() == (kind == "none")
            outside.unlink(missing_ok=True)


@pytest.mark.skipif(os.getuid() != 0, reason="bubblewrap is hidden as root")
@pytest.mark.parametrize("command", ["serve", "mount"])
def test_without_bubblewrap_nothing_is_served_and_the_mend_is_told(
    root: Path, command: str
) -> None:
    folder = write_function(root / "fns" / "joe" / "fn")
    (root / "mnt").mkdir()
    args = {"serve": ["serve", str(root / "fns"), "--port", "0"],
            "mount": ["mount", str(folder), str(root / "mnt")]}[command]  # fmt: skip
    beside = Path(sys.executable).parent
    hide = (
        f'for b in $(PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH:{beside}" which -a bwrap); do '
        'mount --bind /dev/null "$b"; done; exec "$@"'
    )
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", hide, "sh", *PIFOPFS, *args],
        env=environment(root), capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (5, ""), result.stderr
    assert "apt-get install bubblewrap" in result.stderr
    assert "--isolation none" in result.stderr
    assert not list((root / "mnt").iterdir())
    assert str(root) not in Path("/proc/self/mountinfo").read_text()


# ── The end ───────────────────────────────────────────────────────────────────────────────────


def test_an_upload_under_way_is_finished_after_one_signal_and_cut_by_a_second(
    root: Path, socket: str
) -> None:
    write_function(root / "fns" / "joe" / "fn")
    for finished in (True, False):
        with serving(root, "--socket", socket) as (process, _):
            id_ = curl(socket, "POST", "/joe/fn/executions")["id"]
            with sockets.socket(sockets.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(socket)
                head = f"POST /joe/fn/executions/{id_}/input/a HTTP/1.1\r\nhost: x\r\n"
                connection.sendall(f"{head}content-length: 10\r\n\r\n12345".encode())
                uploads = root / "state" / "pifopfs" / "servers"
                until(lambda up=uploads: [f for f in up.rglob("uploads/*") if f.stat().st_size])
                process.send_signal(signal.SIGTERM)
                until(lambda: not Path(socket).exists())
                assert process.poll() is None
                if finished:
                    connection.sendall(b"67890")
                else:
                    process.send_signal(signal.SIGTERM)
                assert connection.recv(1000).startswith(b"HTTP/1.1 200") == finished
                assert process.wait(10) == 0
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()


# ── What once went wrong ──────────────────────────────────────────────────────────────────────


def test_regression_a_file_that_was_named_as_the_socket_is_kept(root: Path) -> None:
    write_function(root / "fns" / "joe" / "fn")
    (root / "own").mkdir(mode=0o700)
    (root / "own" / "precious").write_text("precious")
    result = failing(root, "--socket", str(root / "own" / "precious"))
    assert result.returncode == 5
    assert "is not a socket; remove it, or name another" in result.stderr
    assert (root / "own" / "precious").read_text() == "precious"


def curl(socket: str, method: str, path: str, *more: str) -> dict[str, object]:
    """The JSON answer to a request."""
    answer = subprocess.run(
        ["curl", "-s", "--unix-socket", socket, "-X", method, f"http://localhost{path}", *more],
        capture_output=True, text=True, check=True, timeout=20, env=os.environ | {"no_proxy": "*"},
    )  # fmt: skip
    return dict(json.loads(answer.stdout))


def ended(socket: str, execution: str) -> dict[str, object]:
    """The execution, once it has ended."""
    curl(socket, "POST", f"{execution}/start")
    until(lambda: curl(socket, "GET", execution)["status"] == "ended")
    return curl(socket, "GET", execution)


def test_a_server_may_open_many_files_and_its_programs_as_many_as_before(
    root: Path, socket: str
) -> None:
    write_function(root / "fns" / "joe" / "fn", "ulimit -Sn; ulimit -Hn")
    args = ("--socket", socket, "--isolation", "none")
    with serving(root, *args, under=("prlimit", "--nofile=300:700")) as (process, _):
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert "Max open files            700                  700" in limits
        id_ = curl(socket, "POST", "/joe/fn/executions")["id"]
        assert ended(socket, f"/joe/fn/executions/{id_}")["log"] == "300\n700\n"


@pytest.mark.skipif(os.getuid() != 0, reason="a small disk is mounted as root")
def test_regression_a_full_disk_ends_no_server_and_keeps_none_from_starting(
    root: Path, socket: str
) -> None:
    """The end of a run that could not be recorded ended the server and all that ran on it."""
    small = root / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], check=True)
    write_function(root / "fns" / "joe" / "fill", "cat /dev/zero > r.txt; yes | head -n 500000")
    args = ("--socket", socket, "--state-dir", str(small))
    try:
        with serving(root, *args) as (process, _):
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
    root: Path, socket: str
) -> None:
    write_function(
        root / "fns" / "joe" / "deep",
        "p=d; for i in 1 2 3 4 5 6 7 8; do p=$p/$p; done\n"
        "for i in 1 2 3 4 5 6; do mkdir -p $p && cd -P $p || exit 1; done",
    )
    state = root / "kept"
    args = ("--socket", socket, "--state-dir", str(state))
    with serving(root, *args) as (process, _):
        id_ = curl(socket, "POST", "/joe/deep/executions")["id"]
        code = ended(socket, f"/joe/deep/executions/{id_}")["exit_code"]
        assert code in (0, 137)  # where it is slow, it is ended for what it does
        process.kill()
        process.wait(10)
    for part in state.glob("store.sqlite*"):
        part.unlink()  # its folder is a stray now
    with serving(root, *args):
        until(lambda: list((state / "executions").iterdir()) == [])
