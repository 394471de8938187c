"""The check of the daemons' logs finds what it should."""

from __future__ import annotations

from tests.mount.daemonlog import unexpected

INFO = "2026-11-27 00:49:11,228 INFO pifopfs.mount.runner: joe/tsp is mounted on /mnt"
BUG = "2026-11-27 00:49:11,228 ERROR pifopfs.fuse.errnos: bug in open"
TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nZeroDivisionError: a bug'
TOLD = "2026-11-27 00:49:11,228 WARNING pifopfs.tree.execution: j (exec_1): start: it is running"
OTHER = "2026-11-27 00:49:11,228 WARNING pifopfs.tree.storage: /x cannot be removed: no"


def test_a_quiet_log() -> None:
    assert unexpected(f"{INFO}\n{TOLD}\n") == []


def test_a_warning_that_nobody_provoked() -> None:
    assert unexpected(f"{INFO}\n{OTHER}\n") == [OTHER]
    assert unexpected(f"{INFO}\n{OTHER}\n", ["pifopfs.tree.storage: .* cannot be removed"]) == []


def test_a_traceback_with_its_cause() -> None:
    assert unexpected(f"{INFO}\n{BUG}\n{TRACE}\n") == [BUG, *TRACE.splitlines()]
    assert unexpected(f"{BUG}\n{TRACE}\n", ["pifopfs.fuse.errnos: bug"]) == []


def test_what_python_itself_says() -> None:
    line = "x.py:1: ResourceWarning: unclosed file <_io.FileIO name=3>"
    assert unexpected(f"{INFO}\n{line}\n") == [line]
