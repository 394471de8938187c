"""A live mount is asked: one of another version, and one that ends in the middle."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pifopfs.cli.mounted import all_mounts
from pifopfs.errors import MountpointInvalid
from pifopfs.machine import start_time
from pifopfs.mount.asking import ask_for_list
from pifopfs.mount.records import control_socket, find_record, recorded

Daemon = Callable[[bytes], None]


@pytest.fixture
def daemon(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """Answers every question at ROOT/mnt with these bytes."""
    (root / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "run"))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(control_socket(root / "mnt")))
    listener.listen()

    def answering(answer: bytes) -> None:
        def serve() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(answer)
            except OSError:
                return  # the test is over

        threading.Thread(target=serve, daemon=True).start()

    yield answering
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_an_older_daemon_is_told_from_one_that_is_dead(root: Path, daemon: Daemon) -> None:
    daemon(b'{"error": "the request is not understood"}\n')
    with pytest.raises(MountpointInvalid, match=r"older version.*mount the function anew"):
        ask_for_list(root / "mnt")
    with recorded(root / "mnt", "joe/tsp", None, root / "log"):
        (mount,) = all_mounts()
    assert (mount.state, mount.known, mount.alive) == ("untold", None, True)


def test_fields_that_are_not_known_are_passed_over(root: Path, daemon: Daemon) -> None:
    lines = [{"version": 9, "counts": {"running": 1}, "new": 1}, {"name": "j"}, {"over": True}]
    daemon(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    known = ask_for_list(root / "mnt")
    assert (known.counts, known.executions) == ({"running": 1}, [{"name": "j"}])


@pytest.mark.parametrize("answer", [b"", b"{", b'{"version": 1, "counts": {}}\n{"name": "j"}\n'])
def test_an_answer_that_breaks_off_is_no_list(root: Path, daemon: Daemon, answer: bytes) -> None:
    daemon(answer)
    with pytest.raises(MountpointInvalid, match="mnt"):
        ask_for_list(root / "mnt")


def test_a_record_of_another_version_is_read(root: Path, daemon: Daemon) -> None:
    with recorded(root / "mnt", "joe/tsp", None, root / "log"):
        (path,) = (root / "run").rglob("*.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"new": [1]}))
        record = find_record(root / "mnt")
        assert record is not None
        assert (record.pid, record.started) == (os.getpid(), start_time(os.getpid()))
        assert abs(record.since - path.stat().st_mtime) < 1
        path.write_text("[]")
        assert find_record(root / "mnt") is None
