"""What a mount must still know after a remount, a crash or a reboot, in one SQLite file.

Executions: name, id, the times this mount saw, the last document the service sent. Inputs: the
state of each (its bytes are in the staging folder). Every method commits before it returns, which
outlives the daemon. A power cut takes what was committed after the last sync and nothing before
it, so whatever it must not take is synced before the method returns, or by `safe`.
File names are bytes to Linux, so they are stored as such. When the disk is full, a small reserve
file makes room: what fills a disk can then be truncated or removed, which needs a record, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import trio

from pifopfs.errors import LocalStorageFailed, LocalStorageFull
from pifopfs.tree.disk import Disk
from pifopfs.tree.inputstates import InputState
from pifopfs.tree.rows import ExecutionRow, InputRow, StoredDocument
from pifopfs.tree.schema import SCHEMA, VERSION
from pifopfs.tree.storage import FULL
from pifopfs.wire import ExecutionId

SETTLING = 0.1
"""Seconds after which what need not be safe at once is made safe."""

RESERVE = 512 * 1024
"""Bytes kept back for recording when the disk is full."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Names:
    """The record. Raises LocalStorageFull and LocalStorageFailed."""

    def __init__(self, path: Path, boot: str | None = None) -> None:
        """`boot` tells this boot of the machine from all others, None: the kernel's name of it."""
        self._path = path
        self._reserve = path.with_name(path.name + ".reserve")
        self.settling = False
        """`settle` is under way, and what is recorded now will be safe with the rest."""
        self.disk = Disk()
        """Also for the bytes of inputs: they share its rounds."""
        with self._translated():
            self._db = sqlite3.connect(path, isolation_level=None, timeout=2)
            try:
                self._prepare()
                self._rebooted(boot or BOOT_ID.read_text().strip())
                self._log = path.with_name(path.name + "-wal").open("rb", buffering=0)
            except BaseException:
                self._db.close()
                raise
        self._keep_reserve()

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # ordered; `_sync` and `safe` do the rest
        self._db.execute("PRAGMA foreign_keys = ON")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN; {SCHEMA} COMMIT;")
        elif version != VERSION:
            raise LocalStorageFailed(
                str(self._path), "it was written by another version of pifopfs; use that one"
            )

    def _rebooted(self, boot: str) -> None:
        """After a reboot, bytes that may not have reached the disk are nobody's input any more."""
        if self._db.execute("SELECT id FROM boot").fetchall() == [(boot,)]:
            return
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute(
                "UPDATE inputs SET state = ? WHERE state = ?", (InputState.TORN, InputState.CLOSED)
            )
            self._db.execute("DELETE FROM boot")
            self._db.execute("INSERT INTO boot (id) VALUES (?)", (boot,))

    def close(self) -> None:
        """Close the file; the record stays."""
        self._db.close()
        self._log.close()

    async def safe(self, *files: int) -> None:
        """Return when all that is recorded so far is on the disk, and these open files, too.

        A failure of theirs is logged: their bytes are here for as long as the machine runs.
        """
        failures = await self.disk.sync(self._log.fileno(), *files)
        with self._translated():
            if self._log.fileno() in failures:
                raise failures[self._log.fileno()]

    async def settle(self) -> None:
        """Make what is recorded safe a moment later, together with what comes until then."""
        if not self.settling:
            self.settling = True
            await trio.sleep(SETTLING)
            self.settling = False
            await self.safe()

    def executions(self) -> list[ExecutionRow]:
        """All that are known, oldest first."""
        with self._translated():
            rows = self._db.execute(
                "SELECT serial, id, name, created_ns, started_ns, ended_ns, document"
                " FROM executions ORDER BY serial"
            ).fetchall()
        return [
            ExecutionRow(row[0], row[1], os.fsdecode(row[2]), row[3], row[4], row[5], document)
            for row, document in ((row, StoredDocument(row[6])) for row in rows)
        ]

    def serials(self) -> set[int]:
        """Of all executions that are known."""
        with self._translated():
            return {row[0] for row in self._db.execute("SELECT serial FROM executions")}

    def add(
        self, execution: ExecutionId, name: str, created_ns: int, document: Mapping[str, Any]
    ) -> int:
        """Record a new execution; returns its serial number."""
        with self._translated():
            cursor = self._write(
                "INSERT INTO executions (id, name, created_ns, document) VALUES (?, ?, ?, ?)",
                (execution, os.fsencode(name), created_ns, json.dumps(document)),
            )
            self._sync()
        assert cursor.lastrowid is not None  # noqa: S101  # an INSERT always has one
        return cursor.lastrowid

    def rename(self, serial: int, name: str) -> None:
        """Give an execution another name."""
        with self._translated():
            self._write(
                "UPDATE executions SET name = ? WHERE serial = ?", (os.fsencode(name), serial)
            )
            self._sync()

    def observe(
        self,
        serial: int,
        started_ns: int | None,
        ended_ns: int | None,
        document: Mapping[str, Any],
    ) -> None:
        """Record what the service said last. It need not be safe: it says it again."""
        with self._translated():
            self._write(
                "UPDATE executions SET started_ns = ?, ended_ns = ?, document = ? WHERE serial = ?",
                (started_ns, ended_ns, json.dumps(document), serial),
            )

    def forget(self, serial: int) -> None:
        """Drop an execution and its inputs."""
        with self._translated():
            self._write("DELETE FROM executions WHERE serial = ?", (serial,))
            self._sync()

    def inputs(self, serial: int) -> list[InputRow]:
        """The inputs of an execution."""
        with self._translated():
            rows = self._db.execute(
                "SELECT name, number, state, mode, uid, gid FROM inputs"
                " WHERE serial = ? ORDER BY name",
                (serial,),
            ).fetchall()
        return [InputRow(os.fsdecode(row[0]), *row[1:]) for row in rows]

    def put_input(self, serial: int, row: InputRow, *, safe: bool = True) -> None:
        """Record an input. Not `safe`: a power cut may bring back what was recorded before."""
        with self._translated():
            self._write(
                "INSERT OR REPLACE INTO inputs (serial, name, number, state, mode, uid, gid)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (serial, os.fsencode(row.name), *astuple(row)[1:]),
            )
            if safe:
                self._sync()

    def rename_input(self, serial: int, old: str, new: str, state: str) -> None:
        """Give an input another name, whose input is no more, and a state; both or neither."""
        with self._translated():
            self._write(
                "UPDATE OR REPLACE inputs SET name = ?, state = ? WHERE serial = ? AND name = ?",
                (os.fsencode(new), state, serial, os.fsencode(old)),
            )
            self._sync()

    def drop_input(self, serial: int, name: str) -> None:
        """Forget an input."""
        with self._translated():
            self._write(
                "DELETE FROM inputs WHERE serial = ? AND name = ?", (serial, os.fsencode(name))
            )
            self._sync()

    def uploaded(self, serial: int) -> set[str]:
        """The names of which the service may have some version."""
        with self._translated():
            rows = self._db.execute("SELECT name FROM uploaded WHERE serial = ?", (serial,))
            return {os.fsdecode(row[0]) for row in rows}

    def put_uploaded(self, serial: int, name: str, *, known: bool) -> None:
        """Record whether the service may have some version of a name. It may have one only once
        that is `safe`; that it has none need not be, as the other is the more careful.
        """
        statement = (
            "INSERT OR IGNORE INTO uploaded (serial, name) VALUES (?, ?)"
            if known
            else "DELETE FROM uploaded WHERE serial = ? AND name = ?"
        )
        with self._translated():
            self._write(statement, (serial, os.fsencode(name)))

    def _write(self, statement: str, values: tuple[Any, ...]) -> sqlite3.Cursor:
        """Execute and commit; on a full disk at the cost of the reserve."""
        try:
            return self._db.execute(statement, values)
        except sqlite3.OperationalError as error:
            if not _is_full(error):
                raise
        self._reserve.unlink(missing_ok=True)
        with contextlib.suppress(sqlite3.OperationalError):  # what follows says what is wrong
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the room of the write-ahead log
        cursor = self._db.execute(statement, values)
        self._keep_reserve()
        return cursor

    def _sync(self) -> None:
        """As `safe`, while everything waits."""
        os.fdatasync(self._log.fileno())

    def _keep_reserve(self) -> None:
        """Take the reserve from the disk, where there is room for it."""
        if self._reserve.exists():
            return
        try:
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE)
        except OSError:
            self._reserve.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            kind = LocalStorageFull if _is_full(error) else LocalStorageFailed
            raise kind(str(self._path), f"cannot record: {error}") from error


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in FULL
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
