"""An SQLite file that takes what must be recorded on a full disk, too.

A small reserve file is kept beside it and given up where there is no other room.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESERVES = (512 * 1024, 256 * 1024, 128 * 1024, 64 * 1024)
"""Bytes kept back for recording when the disk is full: the first of these that there is room for.
"""


class Database:
    """One file. Every write is committed before the method returns. Raises sqlite3.Error."""

    def __init__(self, path: Path, steps: Sequence[str]) -> None:
        """`steps`: the scripts that lead from an empty file to the present schema. A file gets
        those that it has not seen yet; one of a later program is refused.
        """
        self._reserve = path.with_name(path.name + ".reserve")
        try:
            self._db = _open(path, steps)
        except sqlite3.OperationalError:
            if not self._give_up_reserve():
                raise
            self._db = _open(path, steps)
        self._keep_reserve()

    def close(self) -> None:
        """Close the file; everything stays."""
        self._db.close()
        self._keep_reserve()  # for the next time: closing has made room

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._db.execute(query, values).fetchall()

    def write(self, statement: str, values: Sequence[Any]) -> None:
        """Change something; on a full disk this fails, and the reserve stays."""
        self._db.execute(statement, values)

    def insist(self, statement: str, values: Sequence[Any]) -> None:
        """Change something, where need be at the cost of the reserve."""
        try:
            self._db.execute(statement, values)
        except sqlite3.OperationalError:
            if not self._give_up_reserve():
                raise
            self._db.execute(statement, values)
        self._keep_reserve()

    def _give_up_reserve(self) -> bool:
        """Make room; False where there is no reserve."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def _keep_reserve(self) -> None:
        """Take the reserve from the disk, where there is room for it."""
        for size in RESERVES:
            if self._reserve.exists():
                return
            try:
                with self._reserve.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
            except OSError:
                self._reserve.unlink(missing_ok=True)


def _open(path: Path, steps: Sequence[str]) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        _bring_up(db, steps)
    except BaseException:
        db.close()
        raise
    return db


def _bring_up(db: sqlite3.Connection, steps: Sequence[str]) -> None:
    """To the present schema: all of a step, or nothing of it."""
    (seen,) = db.execute("PRAGMA user_version").fetchone()
    if seen > len(steps):
        raise sqlite3.DatabaseError("it was written by a later version of pifopfs")
    for number, step in enumerate(steps[seen:], seen + 1):
        db.executescript(f"BEGIN; {step} PRAGMA user_version = {number}; COMMIT;")
