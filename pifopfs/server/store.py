"""What a server keeps: a record of each execution in SQLite, and a folder for its files.

    store.sqlite
    executions/ID/inputs/   uploaded, until the start
    executions/ID/work/     the run's copy of the function's folder; outputs stay in it
    executions/ID/log       UTF-8, only ever appended to

Every change is committed before the method returns. One process at a time uses a store.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import sqlite3
import string
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pifopfs.server.workspace import make_writable
from pifopfs.wire import ExecutionId, FileSpec, Status

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS executions (
    id TEXT PRIMARY KEY,
    author TEXT NOT NULL,
    function TEXT NOT NULL,
    status TEXT NOT NULL,
    end_reason TEXT,
    exit_code INTEGER,
    stopped INTEGER,
    init_date TEXT NOT NULL,
    start_date TEXT,
    end_date TEXT,
    output TEXT,                           -- JSON
    trace TEXT,                            -- by which the engine finds what it launched
    stdout_cursor INTEGER NOT NULL         -- bytes of the log told to the askers for stdout=true
) STRICT, WITHOUT ROWID;
"""

ID_ALPHABET = string.ascii_letters + string.digits
ID_LENGTH = 20


@dataclass(frozen=True, slots=True)
class Record:
    """One execution. Dates are ISO 8601 in UTC, with milliseconds."""

    id: ExecutionId
    author: str
    function: str
    status: Status
    init_date: str
    end_reason: str | None = None
    exit_code: int | None = None
    stopped: bool | None = None
    start_date: str | None = None
    end_date: str | None = None
    output: tuple[FileSpec, ...] | None = None
    """While it runs, what the function declares; once ended, what was produced."""
    trace: str | None = None
    stdout_cursor: int = 0


def now() -> str:
    """This moment as a date of the API."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    """The records and folders below one folder."""

    def __init__(self, folder: Path) -> None:
        self._executions = folder / "executions"
        self._executions.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(SCHEMA)
        self._remove_strays()

    def close(self) -> None:
        """Close the file; everything stays."""
        self._db.close()

    def folder(self, execution: ExecutionId) -> Path:
        """Where an execution's files are."""
        return self._executions / execution

    def create(self, author: str, function: str) -> Record:
        """A new execution, pending."""
        letters = "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))
        record = Record(ExecutionId(f"exec_{letters}"), author, function, Status.PENDING, now())
        folder = self.folder(record.id)
        (folder / "inputs").mkdir(parents=True)
        (folder / "log").touch()
        self._write(record)
        return record

    def find(self, execution: str) -> Record | None:
        """The record of an execution."""
        rows = self._select("WHERE id = ?", (execution,))
        return rows[0] if rows else None

    def all(self) -> list[Record]:
        """Every record, oldest first."""
        return self._select("ORDER BY init_date", ())

    def change(self, record: Record, **changes: Any) -> Record:
        """Write a changed record; returns it."""
        changed = replace(record, **changes)
        self._write(changed)
        return changed

    def delete(self, execution: ExecutionId) -> None:
        """Drop a record; `remove_files` is for its folder."""
        self._db.execute("DELETE FROM executions WHERE id = ?", (execution,))

    def remove_files(self, execution: ExecutionId) -> None:
        """Remove an execution's folder; what resists is told in the server's log."""
        _remove(self.folder(execution))

    def _remove_strays(self) -> None:
        """Folders whose record was dropped, or never written, before a crash."""
        known = {record.id for record in self.all()}
        for folder in self._executions.iterdir():
            if folder.name not in known:
                _remove(folder)

    def _select(self, where: str, values: Sequence[Any]) -> list[Record]:
        names = [field.name for field in fields(Record)]
        query = f"SELECT {', '.join(names)} FROM executions {where}"  # noqa: S608  # no user's text
        return [
            _from_row(dict(zip(names, row, strict=True))) for row in self._db.execute(query, values)
        ]

    def _write(self, record: Record) -> None:
        row = _to_row(record)
        marks = ", ".join("?" * len(row))
        self._db.execute(
            f"INSERT OR REPLACE INTO executions ({', '.join(row)}) VALUES ({marks})",  # noqa: S608
            tuple(row.values()),
        )


def _remove(folder: Path) -> None:
    try:
        make_writable(folder)
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("%s cannot be removed: %s", folder, error)


def _to_row(record: Record) -> dict[str, Any]:
    row = {field.name: getattr(record, field.name) for field in fields(Record)}
    if record.output is not None:
        row["output"] = json.dumps([spec.to_json() for spec in record.output])
    return row


def _from_row(row: dict[str, Any]) -> Record:
    row["status"] = Status(row["status"])
    row["stopped"] = None if row["stopped"] is None else bool(row["stopped"])
    if row["output"] is not None:
        row["output"] = tuple(FileSpec.from_json(item) for item in json.loads(row["output"]))
    return Record(**row)
