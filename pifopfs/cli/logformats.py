"""What a line of the log looks like: text or JSON, for a terminal, a file or the journal.

A message is one line, whatever names and answers it tells of; what belongs to it (a traceback, a
stack) follows indented, so that nobody's file name can look like a record. A record about a request
has that request's id.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

from pifopfs.errors import ServiceError
from pifopfs.observing import ids
from pifopfs.observing.text import printable

INDENT = "    "

PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.NOTSET, 7),
)
"""From which level on a record has which priority of sd-daemon(3)."""


def writes_to_journal(stream: TextIO) -> bool:
    """Whether it is the stream by which systemd has connected us with the journal."""
    try:
        device, inode = map(int, os.environ.get("JOURNAL_STREAM", "").split(":"))
        status = os.fstat(stream.fileno())
    except (ValueError, OSError):  # nothing of systemd, or a stream that is no file
        return False
    return (status.st_dev, status.st_ino) == (device, inode)


class TextLines(logging.Formatter):
    """Time, level, logger, message, and the request's id in brackets."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text, of several lines where something belongs to it."""
        lines = [self._first(record)]
        lines += (f"{INDENT}{printable(line)}" for line in _details(record, self))
        return "\n".join(lines)

    def _first(self, record: logging.LogRecord) -> str:
        return f"{self.formatTime(record)} {_told(record)}"


class JournalLines(TextLines):
    """Each line with its priority, and without the time, which the journal knows."""

    def format(self, record: logging.LogRecord) -> str:
        """As `TextLines`: the journal takes every line for a record of its own."""
        return with_priority(record, super().format(record))

    def _first(self, record: logging.LogRecord) -> str:
        return _told(record)


class JsonLines(logging.Formatter):
    """One object in each line."""

    def __init__(self, *, journal: bool = False) -> None:
        """`journal`: each line has its priority before the object."""
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The record as an object."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request": request_of(record),
            "details": "\n".join(_details(record, self)),
        }
        line = json.dumps({name: value for name, value in fields.items() if value})
        return with_priority(record, line) if self._journal else line


def formatter(kind: str, *, journal: bool) -> logging.Formatter:
    """For `text` or `json`."""
    if kind == "json":
        return JsonLines(journal=journal)
    return JournalLines() if journal else TextLines()


def request_of(record: logging.LogRecord) -> str:
    """The id of the request that a record is about: the one under way, or the one that failed."""
    about = record.args if isinstance(record.args, tuple) else ()
    errors = [*about, record.exc_info[1] if record.exc_info else None]
    failed = (error.request for error in errors if isinstance(error, ServiceError))
    return ids.current.get() or next(filter(None, failed), "")


def with_priority(record: logging.LogRecord, text: str) -> str:
    """Every line with the priority of its record before it."""
    priority = next(number for level, number in PRIORITIES if record.levelno >= level)
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def _told(record: logging.LogRecord) -> str:
    request = request_of(record)
    about = f" [{request}]" if request else ""
    return f"{record.levelname} {record.name}: {printable(record.getMessage())}{about}"


def _details(record: logging.LogRecord, formatter: logging.Formatter) -> Iterator[str]:
    """The lines that belong to a record: its `details`, and the traceback."""
    yield from getattr(record, "details", "").splitlines()
    if record.exc_info:
        yield from formatter.formatException(record.exc_info).splitlines()
