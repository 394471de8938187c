"""Watches found in /proc, and the program that raises events: both know nothing of a mount, and
are tried on a local folder.
"""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pifopfs.mount import raiser
from pifopfs.mount.watches import find_watches
from pifopfs.tree import raised

LIBC = ctypes.CDLL(None, use_errno=True)
EVENTS = 16
"""Bytes of an event before its name: see inotify(7)."""


@pytest.fixture
def inotify() -> Iterator[int]:
    descriptor = LIBC.inotify_init1(os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def heard(inotify: int, tmp_path: Path) -> Callable[[], list[int]]:
    """The masks of the events in the folder since the last call."""
    LIBC.inotify_add_watch(inotify, os.fsencode(tmp_path), 0xFFF)

    def read() -> list[int]:
        try:
            data, masks = os.read(inotify, 64 * 1024), []
        except BlockingIOError:
            return []
        while data:
            masks.append(int.from_bytes(data[4:8], sys.byteorder))
            data = data[EVENTS + int.from_bytes(data[12:16], sys.byteorder) :]
        return masks

    return read


OPEN = 0x20


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (raised.MODIFY, [raised.MODIFY]),
        (raised.ATTRIB, [raised.ATTRIB]),
        (raised.CLOSE_WRITE, [OPEN, raised.CLOSE_WRITE]),
        (raised.MODIFY | raised.CLOSE_WRITE, [OPEN, raised.MODIFY, raised.CLOSE_WRITE]),
    ],
)
def test_events_are_raised_by_what_a_writer_does(
    tmp_path: Path, heard: Callable[[], list[int]], asked: int, told: list[int]
) -> None:
    (tmp_path / "f").touch()
    heard()
    assert outcome(tmp_path, "f", asked) == 0
    assert heard() == told
    assert (tmp_path / "f").read_bytes() == b""


def test_a_file_that_appears(tmp_path: Path, heard: Callable[[], list[int]]) -> None:
    assert outcome(tmp_path, "f", raised.CREATE | raised.CLOSE_WRITE) == 0
    assert heard() == [raised.CREATE, OPEN, raised.CLOSE_WRITE]
    assert outcome(tmp_path, "f", raised.CREATE) == errno.EEXIST


def test_nothing_is_touched_where_the_mount_is_no_more(
    tmp_path: Path, heard: Callable[[], list[int]]
) -> None:
    device = tmp_path.stat().st_dev + 1
    assert raiser.outcome(os.fsencode(tmp_path), device, b"f", raised.CREATE) == errno.ENOTCONN
    assert raiser.outcome(os.fsencode(tmp_path / "x"), device, b"f", raised.CREATE) == errno.ENOENT
    assert heard() == []
    assert list(tmp_path.iterdir()) == []


def outcome(folder: Path, name: str, events: int) -> int:
    return raiser.outcome(os.fsencode(folder), folder.stat().st_dev, os.fsencode(name), events)


def test_the_program_answers_each_record_and_ends_with_its_input(tmp_path: Path) -> None:
    (tmp_path / "a b\n").touch()
    command = [
        sys.executable,
        "-I",
        "-S",
        raiser.__file__,
        str(tmp_path),
        str(tmp_path.stat().st_dev),
    ]
    result = subprocess.run(
        command, input=b"2 a b\n\0002 missing\0", capture_output=True, timeout=20, check=True
    )
    assert result.stdout == b"0\n%d\n" % errno.ENOENT
    assert result.stderr == b""


def test_both_halves_name_the_events_alike() -> None:
    for name in ("MODIFY", "ATTRIB", "CLOSE_WRITE", "CREATE"):
        assert getattr(raiser, name) == getattr(raised, name)


# ── Watches ───────────────────────────────────────────────────────────────────────────────────


def test_the_watches_on_a_filesystem_are_found_in_proc(inotify: int, tmp_path: Path) -> None:
    status = tmp_path.stat()
    number = LIBC.inotify_add_watch(inotify, os.fsencode(tmp_path), raised.MODIFY)
    found = [w for w in find_watches(status.st_dev, {os.getuid()}) if w.ino == status.st_ino]
    assert [(w.process, w.descriptor, w.number, w.mask) for w in found] == [
        (os.getpid(), inotify, number, raised.MODIFY)
    ]
    assert found[0] in find_watches(status.st_dev, None)
    for device, users in ((status.st_dev, set[int]()), (status.st_dev + 1, None)):
        ours = [w for w in find_watches(device, users) if w.process == os.getpid()]
        assert ours == []
