"""Files that hold a key: only who uses it may read one, and one that changes is read again."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from pifopfs.api.credentials import LONGEST, ApiKey
from pifopfs.errors import CredentialsInvalid

OTHERS = 0o077

Version = tuple[int, int, int, int, int]
"""What tells a file's content from a later one: file system, inode, size, two times."""


class KeyFile:
    """A file with nothing but a key in it, and white space."""

    def __init__(self, path: Path, *, guarded: bool = False) -> None:
        """Reads it. `guarded`: systemd has placed it where nobody else comes, its mode says
        nothing. Raises CredentialsInvalid.
        """
        self.path = path
        self._guarded = guarded
        self._version: Version | None = None
        self.key = self._read()

    def look(self) -> ApiKey:
        """The key, read again where the file has changed. Raises CredentialsInvalid."""
        if self._version is not None and _version(self._status()) != self._version:
            self.key = self._read()
        return self.key

    def read(self) -> ApiKey:
        """The key, read again. Raises CredentialsInvalid."""
        if self._version is not None:
            self.key = self._read()
        return self.key

    def _status(self) -> os.stat_result:
        try:
            return self.path.stat()
        except OSError as error:
            raise self._unreadable(error) from error

    def _read(self) -> ApiKey:
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                status = os.fstat(file)
                self._check(status)
                content = _content(file, status)
            finally:
                os.close(file)
            text = content.decode("ascii").strip()
        except OSError as error:
            raise self._unreadable(error) from error
        except UnicodeDecodeError:
            raise CredentialsInvalid(f"the API key file {self.path} is not plain text") from None
        key = ApiKey(text, f"the API key file {self.path}")
        if stat.S_ISREG(status.st_mode):  # what came through a pipe cannot be read again
            self._version = _version(status)
        return key

    def _check(self, status: os.stat_result) -> None:
        """Raises CredentialsInvalid where somebody else than its user, and root, can read it."""
        if self._guarded:
            return
        user, owner = os.geteuid(), status.st_uid
        foreign = owner != user and user != 0
        if status.st_mode & OTHERS:
            mend = f"make it yours alone: chmod 600 {self.path}"
            if foreign:
                mend = f"use a copy of your own: install -m 600 {self.path} …"
            raise CredentialsInvalid(
                f"the API key file {self.path} can be read by other users (mode "
                f"{stat.S_IMODE(status.st_mode):04o}); {mend}"
            )
        if foreign and owner != 0:
            raise CredentialsInvalid(
                f"the API key file {self.path} belongs to {_name(owner)}, who can read and replace "
                f"it; use a copy of your own: install -m 600 {self.path} …"
            )

    def _unreadable(self, error: OSError) -> CredentialsInvalid:
        return CredentialsInvalid(f"the API key file {self.path} cannot be read: {error.strerror}")


def _content(file: int, status: os.stat_result) -> bytes:
    """Not more than a key can have: it may have no end, as /dev/zero."""
    if stat.S_ISFIFO(status.st_mode):  # whose writer may not have written yet
        os.set_blocking(file, True)
    content = b""
    while len(content) <= LONGEST and (piece := os.read(file, LONGEST + 1 - len(content))):
        content += piece
    return content


def _version(status: os.stat_result) -> Version:
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"the user {user}"
