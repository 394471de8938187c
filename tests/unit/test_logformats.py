"""What a record looks like in a file, in the journal, and as JSON."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pifopfs.cli.background import log_to
from pifopfs.cli.logformats import formatter, writes_to_journal
from pifopfs.errors import ConnectionRefused
from pifopfs.observing import ids
from tests.mount.daemonlog import LINE

FORGED = "job\n2026-11-27 00:49:11,228 ERROR pifopfs.mount: all is lost\x1b[2J\u202e\x85"
NAMES = "a job", FORGED, "\udcff"


def shown(kind: str, message: str, *args: object, journal: bool = False, **more: object) -> str:
    """A record of the level `warning` as it is written."""
    error = more.pop("error", None)
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("pifopfs.x", logging.WARNING, "x.py", 1, message, args, exc_info)  # type: ignore[arg-type]
    record.__dict__.update(more)
    return formatter(kind, journal=journal).format(record)


def test_a_line_of_a_file_has_time_level_logger_and_message() -> None:
    found = LINE.fullmatch(shown("text", "%s is %s", "j", "ended"))
    assert found is not None
    assert found["level"] == "WARNING"
    assert found["what"] == "pifopfs.x: j is ended"


def test_no_name_looks_like_a_record_or_acts_on_a_terminal() -> None:
    line = shown("text", "%s is ended", FORGED)
    assert line.isprintable()
    assert LINE.fullmatch(line) is not None
    assert r"job\n2026-11-27 00:49:11,228 ERROR" in line
    assert r"\x1b[2J\u202e\x85" in line


def test_no_name_in_a_traceback_looks_like_a_record() -> None:
    try:
        raise ValueError(FORGED)
    except ValueError as error:
        first, *rest = shown("text", "it failed", error=error).split("\n")
    assert LINE.fullmatch(first) is not None
    assert "Traceback (most recent call last):" in rest[0]
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_what_belongs_to_a_record_follows_indented() -> None:
    lines = shown("text", "a dump", details="one\n  two\x07").split("\n")
    assert lines[1:] == ["    one", r"      two\x07"]


@pytest.mark.parametrize("name", NAMES)
def test_a_record_as_json_is_one_line(name: str) -> None:
    line = shown("json", "%s is ended", name, details="one\ntwo")
    assert "\n" not in line
    assert line.isascii()
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00")
    assert fields == {
        "level": "warning",
        "logger": "pifopfs.x",
        "message": f"{name} is ended",
        "details": "one\ntwo",
    }


# ── The request ───────────────────────────────────────────────────────────────────────────────


@contextmanager
def about(request: str) -> Iterator[None]:
    token = ids.current.set(request)
    yield
    ids.current.reset(token)


def test_a_line_about_a_request_has_its_id() -> None:
    with about("abc123"):
        assert shown("text", "it is sent").endswith("pifopfs.x: it is sent [abc123]")
        assert json.loads(shown("json", "it is sent"))["request"] == "abc123"
    assert shown("text", "it is sent").endswith("it is sent")


def test_a_line_about_the_failure_of_a_request_has_its_id() -> None:
    error = ConnectionRefused("start of exec_1", "connection refused")
    error.request = "abc123"
    assert shown("text", "%s: %s", "j", error).endswith("connection refused [abc123]")
    assert json.loads(shown("json", "a bug", error=error))["request"] == "abc123"


# ── The journal ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("level", "priority"),
    [("DEBUG", 7), ("INFO", 6), ("WARNING", 4), ("ERROR", 3), ("CRITICAL", 2)],
)
def test_a_line_for_the_journal_begins_with_its_priority(level: str, priority: int) -> None:
    number = logging.getLevelNamesMapping()[level]
    record = logging.LogRecord("pifopfs.x", number, "x.py", 1, "hello", None, None)
    assert formatter("text", journal=True).format(record) == f"<{priority}>{level} pifopfs.x: hello"
    assert formatter("json", journal=True).format(record).startswith(f'<{priority}>{{"time"')


def test_every_line_for_the_journal_has_the_priority_of_its_record() -> None:
    lines = shown("text", "a dump of %s", "j\n<0>", journal=True, details="<0>one\ntwo").split("\n")
    assert lines == [r"<4>WARNING pifopfs.x: a dump of j\n<0>", "<4>    <0>one", "<4>    two"]


def test_the_journal_is_known_by_what_systemd_says_of_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (root / "journal").open("w") as stream:
        status = os.fstat(stream.fileno())
        for text, expected in (
            (f"{status.st_dev}:{status.st_ino}", True),
            (f"{status.st_dev}:{status.st_ino + 1}", False),
            ("nonsense", False),
            ("", False),
        ):
            monkeypatch.setenv("JOURNAL_STREAM", text)
            assert writes_to_journal(stream) is expected
    assert not writes_to_journal(io.StringIO())


@pytest.mark.parametrize("journal", [True, False])
def test_standard_error_gets_the_form_that_fits_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, journal: bool
) -> None:
    with (root / "errors").open("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}" if journal else "")
        handler = logging.StreamHandler(stream)
        monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
        before = logging.getLogger("pifopfs").level
        log_to(handler, "info")
        logging.getLogger("pifopfs").setLevel(before)
        handler.handle(logging.LogRecord("pifopfs.x", 20, "x.py", 1, "hello", None, None))
    line = (root / "errors").read_text()
    assert line.startswith("<6>INFO") if journal else LINE.fullmatch(line.strip()) is not None
