"""The keys of functions: a master key each, in a file, and API keys, kept only as hashes.

A key is 48 random letters and digits, 285 bits: nobody finds it by trying, so its hash needs
neither salt nor slowness.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import string
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path

from pifopfs.server.callers import MASTER, Caller
from pifopfs.server.function_file import ID
from pifopfs.server.limits import Limits
from pifopfs.server.refusals import NameTaken, Unknown
from pifopfs.server.store import Store, now

ALPHABET = string.ascii_letters + string.digits
LENGTH = 48
LONGEST = 1000
"""Characters of a file that are looked at."""
MASTERS = "master-keys"

COLUMNS = "id, name, digest, max_memory, max_time, max_executions, created"
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What an API key is limited to, in the API's units; None is no limit."""

    max_memory: float | None = None
    """Megabytes."""
    max_time: float | None = None
    """Minutes."""
    max_executions: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key of a function."""

    id: str
    name: str
    digest: str = field(repr=False)
    limits: KeyLimits
    created: str | None
    """A date of the API; None for a key that is older than this field."""

    @property
    def caller(self) -> Caller:
        """Who holds it."""
        limits = Limits.of({"max_memory": self.limits.max_memory, "max_time": self.limits.max_time})
        return Caller(self.id, limits, self.limits.max_executions)


class Keys:
    """The keys of a server's functions. Raises OSError, sqlite3.Error."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._db = store.database
        self._folder = folder

    def caller(self, author: str, function: str, key: str) -> Caller | None:
        """Who holds this key of a function; None where it is none. The function exists."""
        if hmac.compare_digest(self.master(author, function).encode(), key.encode()):
            return MASTER
        digest = _digest(key)
        found = None
        for candidate in self.all(author, function):  # all of them: it takes equally long
            if hmac.compare_digest(candidate.digest, digest):
                found = candidate
        return found.caller if found else None

    def all(self, author: str, function: str) -> list[Key]:
        """The API keys of a function, by name."""
        query = f"SELECT {COLUMNS} FROM keys WHERE author = ? AND function = ? ORDER BY name"  # noqa: S608
        rows = self._db.read(query, (author, function))
        return [Key(row[0], row[1], row[2], KeyLimits(*row[3:6]), row[6]) for row in rows]

    def create(self, author: str, function: str, name: str, limits: KeyLimits) -> tuple[Key, str]:
        """A new API key, and its text, which is nowhere else. Raises NameTaken."""
        text = f"apikey_{_random(LENGTH)}"
        key = Key(_random(20), name, _digest(text), limits, now())
        values = (key.id, key.name, key.digest, *astuple(limits), key.created, author, function)
        marks = ", ".join("?" * len(values))
        statement = f"INSERT INTO keys ({COLUMNS}, author, function) VALUES ({marks})"  # noqa: S608
        try:
            self._db.write(statement, values)
        except sqlite3.IntegrityError:
            raise NameTaken(
                f"{author}/{function} has an API key {name}; delete it first, or take another name"
            ) from None
        return key, text

    def delete(self, author: str, function: str, name: str) -> Key:
        """Drop an API key, and return it; its executions stay. Raises Unknown."""
        for key in self.all(author, function):
            if key.name == name:
                self._db.write("DELETE FROM keys WHERE id = ?", (key.id,))
                return key
        raise Unknown(f"{author}/{function} has no API key {name}")

    def master(self, author: str, function: str) -> str:
        """The master key of a function that exists; made where there is none yet.

        Raises Unknown for what is no name of a function.
        """
        if not (_is_id(author) and _is_id(function)):
            raise Unknown(f"there is no function {author}/{function}")
        return master_key(self._folder, author, function) or _make_master(
            self._folder, author, function
        )

    def ensure_masters(self, functions: Iterable[tuple[str, str]]) -> None:
        """Make the master keys of functions, by author and id, that have none yet."""
        for author, function in functions:
            self.master(author, function)


def master_key(folder: Path, author: str, function: str) -> str | None:
    """The master key of a function, from the state folder of its server; None where there is none.

    Raises OSError.
    """
    if not (_is_id(author) and _is_id(function)):
        return None
    try:
        with _path(folder, author, function).open("rb") as file:
            return file.read(LONGEST).decode("ascii", "replace").strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_id(name: str) -> bool:
    return ID.fullmatch(name) is not None and name not in (".", "..")


def _path(folder: Path, author: str, function: str) -> Path:
    return folder / MASTERS / author / function


def _make_master(folder: Path, author: str, function: str) -> str:
    path = _path(folder, author, function)
    for parent in (path.parent.parent, path.parent):  # `parents=True` would leave them to the umask
        parent.mkdir(mode=0o700, exist_ok=True)
    text = f"master_{_random(LENGTH)}"
    new = path.with_name(f".{path.name}.{_random(8)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{text}\n")
    new.replace(path)  # never half a key, nor an empty file after a full disk
    return text


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
