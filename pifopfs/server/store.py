"""What a server keeps: a record of each execution in SQLite, and a folder for its files.

    store.sqlite
    executions/ID/inputs/   uploaded, until the start
    executions/ID/uploads/  on their way
    executions/ID/work/     the run's copy of the function's folder; outputs stay in it
    executions/ID/log       UTF-8, only ever appended to

The database holds the API keys, too: see `keys`.

Every change is committed before the method returns, save what must be recorded come what may: it
counts at once, and is written as soon as the disk takes it. One process at a time uses a store.
"""

from __future__ import annotations

import json
import logging
import secrets
import sqlite3
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pifopfs.server.database import Database
from pifopfs.server.limits import NONE, Limits
from pifopfs.server.removal import remove
from pifopfs.wire import ExecutionId, FileSpec, Status

log = logging.getLogger(__name__)

SCHEMA = (
    """
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
""",
    """
ALTER TABLE executions ADD COLUMN owner TEXT; -- the id of an API key
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    author TEXT NOT NULL,
    function TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,                  -- see keys
    max_memory REAL,                       -- megabytes
    max_time REAL,                         -- minutes
    max_executions INTEGER,
    UNIQUE (author, function, name)
) STRICT, WITHOUT ROWID;
""",
    """
ALTER TABLE keys ADD COLUMN created TEXT;  -- when; NULL where no version kept that yet
""",
    """
ALTER TABLE executions ADD COLUMN limits TEXT; -- of its run, in JSON
ALTER TABLE executions ADD COLUMN engine TEXT; -- that runs it
""",
)
"""Steps, one for each version that was published."""

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
    owner: str | None = None
    """The id of the API key that it was created with; None for the master key."""
    limits: Limits = NONE
    """Of its run."""
    engine: str | None = None
    """By which it is run; None: the local one."""


def now() -> str:
    """This moment as a date of the API."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Store:
    """The records and folders below one folder. Raises OSError, sqlite3.Error."""

    def __init__(self, folder: Path) -> None:
        self._executions = folder / "executions"
        self._executions.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = self.database = Database(folder / "store.sqlite", SCHEMA)
        self._owed: dict[ExecutionId, Mapping[str, Any] | None] = {}
        """What the disk has not taken yet: changes, or None for the end of a record."""
        self._behind = False
        """Whether it has refused some; told once in the log."""
        for record in self.all():
            if not self.folder(record.id).is_dir():  # it was being deleted when a server died
                self.delete(record.id)

    def close(self) -> None:
        """Close the file; everything stays."""
        self.pay()
        self._db.close()

    def folder(self, execution: ExecutionId) -> Path:
        """Where an execution's files are."""
        return self._executions / execution

    def create(self, author: str, function: str, owner: str | None = None) -> Record:
        """A new execution, pending. Nothing of it stays where this fails."""
        letters = "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))
        id_ = ExecutionId(f"exec_{letters}")
        record = Record(id_, author, function, Status.PENDING, now(), owner=owner)
        folder = self.folder(record.id)
        try:
            for part in ("inputs", "uploads"):
                (folder / part).mkdir(parents=True)
            (folder / "log").touch()
            row = _to_row({field.name: getattr(record, field.name) for field in fields(Record)})
            marks = ", ".join("?" * len(row))
            columns = ", ".join(row)
            self._db.write(
                f"INSERT INTO executions ({columns}) VALUES ({marks})",  # noqa: S608
                tuple(row.values()),
            )
        except BaseException:
            remove(folder)
            raise
        return record

    def find(self, execution: str) -> Record | None:
        """The record of an execution."""
        rows = self._select("WHERE id = ?", (execution,))
        return rows[0] if rows else None

    def all(self) -> list[Record]:
        """Every record, oldest first."""
        return self._select("ORDER BY init_date", ())

    def running(self, owner: str | None) -> int:
        """How many executions of an API key run."""
        records = self._select("WHERE owner = ?", (owner,))
        return sum(record.status is Status.RUNNING for record in records)

    def change(self, record: Record, **changes: Any) -> Record:
        """Write the named fields and no others; returns the record as it is now."""
        self._db.write(*_update(record.id, changes))
        return self.find(record.id) or replace(record, **changes)

    def keep(self, record: Record, **changes: Any) -> None:
        """As `change`, but it counts from now on even where the disk does not take it."""
        self._owed[record.id] = {**(self._owed.get(record.id) or {}), **changes}
        self.pay()

    def delete(self, execution: ExecutionId) -> None:
        """Drop a record, come what may; `remove_files` is for its folder."""
        self._owed[execution] = None
        self.pay()

    def pay(self) -> None:
        """Write what the disk has not taken yet, if it does now."""
        for execution, changes in list(self._owed.items()):
            try:
                self._db.insist(*_update(execution, changes))
            except sqlite3.Error as error:
                if not self._behind:
                    log.warning("%s cannot be recorded yet: %s", execution, error)
                self._behind = True
                return
            del self._owed[execution]
        self._behind = False

    def remove_files(self, execution: ExecutionId) -> None:
        """Remove an execution's folder; what resists is told in the server's log."""
        remove(self.folder(execution))

    def strays(self) -> list[Path]:
        """What a server that died has left: folders without a record, and halves of uploads."""
        known = {record.id for record in self.all()}
        folders = [path for path in self._executions.iterdir() if path.name not in known]
        return folders + list(self._executions.glob("*/uploads/*"))

    def _select(self, where: str, values: Sequence[Any]) -> list[Record]:
        names = [field.name for field in fields(Record)]
        query = f"SELECT {', '.join(names)} FROM executions {where}"  # noqa: S608  # no user's text
        rows = self._db.read(query, values)
        records = [_from_row(dict(zip(names, row, strict=True))) for row in rows]
        owed = [(record, self._owed.get(record.id, {})) for record in records]
        return [replace(record, **changes) for record, changes in owed if changes is not None]


def _update(
    execution: ExecutionId, changes: Mapping[str, Any] | None
) -> tuple[str, tuple[Any, ...]]:
    """The statement that changes or drops a record, and its values."""
    if changes is None:
        return "DELETE FROM executions WHERE id = ?", (execution,)
    row = _to_row(changes)
    columns = ", ".join(f"{name} = ?" for name in row)
    return f"UPDATE executions SET {columns} WHERE id = ?", (*row.values(), execution)  # noqa: S608


def _to_row(values: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(values)
    if row.get("output") is not None:
        row["output"] = json.dumps([spec.to_json() for spec in row["output"]])
    if "limits" in row:
        row["limits"] = json.dumps(asdict(row["limits"]))
    return row


def _from_row(row: dict[str, Any]) -> Record:
    row["status"] = Status(row["status"])
    row["stopped"] = None if row["stopped"] is None else bool(row["stopped"])
    if row["output"] is not None:
        row["output"] = tuple(FileSpec.from_json(item) for item in json.loads(row["output"]))
    row["limits"] = NONE if row["limits"] is None else Limits(**json.loads(row["limits"]))
    return Record(**row)
