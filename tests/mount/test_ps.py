"""`pifopfs ps`: the mounts of this user and what they know, without a request to the service."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.fakeservice import FakeService, until
from tests.mount.harness import PIFOPFS, Mount

ODD = "x\\n\\x1b[31my\\xff z"
"""As it is shown."""


def table(mount: Mount, *args: str) -> list[list[str]]:
    """The words of each line of `pifopfs ps`."""
    result = mount.pifopfs("ps", *args)
    assert result.returncode == 0, result.stderr
    return [line.split() for line in result.stdout.splitlines()]


def document(mount: Mount, *args: str) -> list[dict[str, object]]:
    """`pifopfs ps --json`."""
    result = mount.pifopfs("ps", "--json", *args)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, list)
    return found


def in_all_states(mount: Mount, service: FakeService) -> None:
    """Executions `pending`, `running` and `ended`."""
    mount.sh("mkdir executions/pending executions/running executions/ended")
    mount.sh("printf 12345 > executions/ended/input/coords")
    mount.sh("echo 1 > executions/running/start; echo 1 > executions/ended/start")
    ended = service.executions[mount.out("cat executions/ended/id").strip()]
    ended.extra["exit_code"] = 3
    ended.end(result=b"x" * 2000)
    mount.sh("cat executions/ended/wait; cat executions/ended/output/result > /dev/null")


def test_mounts_are_listed_with_their_executions(mount: Mount, service: FakeService) -> None:
    in_all_states(mount, service)
    title, row = table(mount)
    seen = dict(zip(title, row, strict=True))
    assert seen["PID"] == str(mount.pid)
    assert (seen["STATE"], seen["FUNCTION"]) == ("mounted", "joe/tsp")
    assert seen["MOUNTPOINT"] == str(mount.path)
    assert [seen[state] for state in ("RUNNING", "PENDING", "ENDED", "GONE")] == list("1110")
    (found,) = document(mount)
    assert found["executions"] == {"running": 1, "pending": 1, "gone": 0, "ended": 1}
    assert found["mountpoint"] == str(mount.path)
    assert str(found["since"]) <= time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())


def test_the_executions_of_a_mount_are_listed_with_state_age_and_sizes(
    mount: Mount, service: FakeService
) -> None:
    in_all_states(mount, service)
    title, *rows = table(mount, str(mount.path))
    found = {row[-1]: dict(zip(title, row, strict=True)) for row in rows}
    assert list(found) == ["running", "pending", "ended"]
    assert {name: row["STATE"] for name, row in found.items()} == {name: name for name in found}
    ended = found["ended"]
    assert (ended["REASON"], ended["EXIT"]) == ("normal", "3")
    assert (ended["INPUTS"], ended["OUTPUTS"]) == ("5", "2.0K")
    assert found["pending"]["TIME"] == found["running"]["REASON"] == "-"
    described = {each["name"]: each for each in document(mount, str(mount.path))}
    assert described["ended"]["inputs"] == [{"id": "coords", "size": 5}]
    assert described["ended"]["outputs"] == [{"id": "result", "size": 2000}]
    assert described["ended"]["exit_code"] == 3
    assert str(described["ended"]["started"]) <= str(described["ended"]["ended"])


def test_a_mount_is_found_by_a_path_in_it_by_a_link_and_by_its_function(
    mount: Mount, service: FakeService
) -> None:
    mount.sh("mkdir executions/j")
    (mount.root / "link").symlink_to(mount.path)
    for name in [f"{mount.path}/executions/j/input", "mnt/", "link", "joe/tsp"]:
        assert [row[-1] for row in table(mount, name)] == ["NAME", "j"], name
    result = mount.pifopfs("ps", "joe/other")
    assert result.returncode == 6
    assert "pifopfs ps lists your mounts" in result.stderr
    other = mount.root / "other"
    other.mkdir()
    state = ("--state-dir", str(mount.root / "second"))
    assert mount.pifopfs("mount", "joe/tsp", str(other), *mount.args, *state).returncode == 0
    try:
        result = mount.pifopfs("ps", "joe/tsp")
        assert result.returncode == 6
        assert str(other) in result.stderr
        assert len(table(mount)) == 3
    finally:
        assert mount.pifopfs("umount", str(other)).returncode == 0


def test_looking_makes_no_request(mount: Mount, service: FakeService) -> None:
    in_all_states(mount, service)
    mount.sh("sleep 0.5")
    before = len(service.requests)
    for _ in range(2):
        table(mount)
        table(mount, str(mount.path))
    assert service.requests[before:] == []


def test_an_execution_adopted_while_it_runs_is_shown_as_running(
    mount: Mount, service: FakeService
) -> None:
    mount.sh("mkdir executions/j")
    service.only().status = "running"
    id_ = service.only().id
    assert mount.pifopfs("forget", f"{mount.path}/executions/j").stdout.strip() == id_
    mount.sh(f"stat executions/{id_}")
    assert table(mount, str(mount.path))[1][0] == "running"


def test_names_of_any_bytes_break_neither_table_nor_json(mount: Mount) -> None:
    mount.sh("mkdir executions/$'x\\n\\e[31my\\xff z'")
    lines = mount.pifopfs("ps", str(mount.path)).stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith(f"  {ODD}")
    (found,) = document(mount, str(mount.path))
    assert found["name"] == "x\n\x1b[31my\\xff z"
    name = subprocess.run(
        ["jq", "-r", ".[0].id"],
        input=mount.pifopfs("ps", "--json", str(mount.path)).stdout.encode(),
        capture_output=True,
    ).stdout.decode()
    assert mount.out(f"cat executions/{name.strip()}/status") == "pending\n"


def test_a_dead_mount_is_shown_as_dead(mount: Mount) -> None:
    mount.kill()
    title, row = table(mount)
    seen = dict(zip(title, row, strict=True))
    assert (seen["STATE"], seen["PID"], seen["RUNNING"]) == ("dead", "-", "-")
    assert document(mount)[0]["executions"] is None
    result = mount.pifopfs("ps", str(mount.path))
    assert result.returncode == 6
    assert "dead" in result.stderr
    subprocess.run(["fusermount3", "-u", str(mount.path)], check=True)
    assert len(table(mount)) == 1  # it is no mount any more


def asked(mount: Mount, request: bytes) -> bytes:
    """What the daemon's control socket answers."""
    (path,) = (mount.root / "run").rglob("*.sock")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_request_that_means_nothing_is_told_so(mount: Mount) -> None:
    for request in [
        b"x", b"3", b"[]", b'["list"]', b"{}", b'{"list": 3}', b'{"list": {"most": -1}}',
        b"[" * 9999,
    ]:  # fmt: skip
        answer = json.loads(asked(mount, request + b"\n"))
        assert answer == {"error": "the request is not understood"}
    assert len(table(mount)) == 2


# ── Many ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def crowded(mount: Mount) -> Mount:
    """A mount that knows ten thousand executions."""
    mount.sh("mkdir executions/first")
    mount.umount()
    (names,) = (mount.root / "state").rglob("names.sqlite")
    with sqlite3.connect(names) as db:
        (row,) = db.execute("SELECT document FROM executions").fetchall()
        ended = json.dumps(json.loads(row[0]) | {"status": "ended", "end_reason": "timeout"})
        now = time.time_ns()
        db.executemany(
            "INSERT INTO executions (id, name, created_ns, started_ns, ended_ns, document)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            [
                (f"exec_x{number}", b"n%d" % number, now, now, now + number, ended)
                for number in range(10_000)
            ],
        )
    db.close()
    mount.mount()
    return mount


def test_ten_thousand_executions_are_listed_while_the_mount_goes_on(
    crowded: Mount, service: FakeService
) -> None:
    answer = crowded.root / "answer"
    with answer.open("wb") as file:
        command = [*PIFOPFS, "ps", "--json", str(crowded.path)]
        looker = subprocess.Popen(command, env=crowded.env, stdout=file)
    slowest = 0.0
    while looker.poll() is None:
        began = time.monotonic()
        crowded.sh("cat executions/first/id")
        slowest = max(slowest, time.monotonic() - began)
    found = json.loads(answer.read_text())
    assert len(found) == 10_001
    assert [found[0]["name"], found[1]["name"]] == ["first", "n9999"]
    assert found[1]["end_reason"] == "timeout"
    assert document(crowded)[0]["executions"] == {
        "running": 0, "pending": 1, "gone": 0, "ended": 10_000,
    }  # fmt: skip
    assert slowest < 3
    (path,) = (crowded.root / "run").rglob("*.sock")
    with socket.socket(socket.AF_UNIX) as connection:  # somebody who goes in the middle
        connection.connect(str(path))
        connection.sendall(b'{"list": {"most": null}}\n')
        assert connection.recv(10)
    assert len(document(crowded)) == 1


# ── --watch ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_shows_what_changes_until_a_signal(
    mount: Mount, service: FakeService, number: signal.Signals
) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [*PIFOPFS, "ps", "--watch", str(mount.path)],
        env=mount.env | {"TERM": "xterm", "COLUMNS": "120", "LINES": "20"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    screen = Screen(ours)
    try:
        until(lambda: b"NAME" in screen.read())
        mount.sh("mkdir executions/newcomer executions/$'\\e[31m'")
        until(lambda: b"newcomer" in screen.read() and b"\\x1b[31m" in screen.seen)
        before = len(service.requests)
        count = screen.seen.count(b"newcomer")
        until(lambda: screen.read().count(b"newcomer") > count + 1)
        assert service.requests[before:] == []
    finally:
        process.send_signal(number)
    assert process.wait(10) == -number
    assert b"\x1b[?1049l" in screen.read()  # the screen is given back
    os.close(ours)


class Screen:
    """What a terminal got."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self.seen = b""

    def read(self) -> bytes:
        """All so far."""
        try:
            while piece := os.read(self._terminal, 65536):
                self.seen += piece
        except OSError:  # nothing more, or closed
            pass
        return self.seen


def test_watch_is_for_terminals_and_json_for_programs(mount: Mount) -> None:
    result = mount.pifopfs("ps", "--watch")
    assert result.returncode == 2
    assert "--json" in result.stderr
    process = subprocess.Popen(
        [*PIFOPFS, "ps", "--watch", "--json"],
        env=mount.env,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    for _ in range(2):
        assert json.loads(process.stdout.readline())[0]["state"] == "mounted"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    process.stdout.close()


def test_nothing_is_mounted(root: Path) -> None:
    mount = Mount(root, "joe/tsp")
    assert len(table(mount)) == 1
    assert document(mount) == []
