"""Keys that `pifopfs login` has stored: in the desktop's keyring, or in files of the user's alone.

For each function at each endpoint there is a file in `keys/` beside the user's config.toml, which
holds the key itself (`….key`), or only says that the keyring has it (`….keyring`). So it is known
without the keyring, which is slow to ask, whether there is something to ask it for; and a mount
that runs sees by the file that there is another key.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pifopfs.api import ApiKey, Endpoint, KeyFile, KeySource
from pifopfs.config import keyring
from pifopfs.config.files import user_folder
from pifopfs.config.kinds import is_there
from pifopfs.errors import CredentialsInvalid, FileUnusable
from pifopfs.machine import private_folder, short_key

LONGEST_NAME = 100
"""Letters of the function's name in that of its file, which has the endpoint's, too, as a hash."""


@dataclass(frozen=True, slots=True)
class Login:
    """A stored key."""

    function: str
    endpoint: Endpoint
    path: Path

    @property
    def in_keyring(self) -> bool:
        return self.path.suffix == ".keyring"

    def __str__(self) -> str:
        return "the desktop's keyring" if self.in_keyring else str(self.path)

    def read(self) -> KeySource:
        """Raises CredentialsInvalid."""
        return StoredKey(self.function, self.endpoint)


def find(function: str, endpoint: Endpoint) -> Login | None:
    """What is stored for `author/id` at the endpoint; None where nothing is."""
    for path in _paths(function, endpoint):
        if is_there(path):
            return Login(function, endpoint, path)
    return None


def store(function: str, endpoint: Endpoint, key: ApiKey, *, in_keyring: bool) -> Login:
    """Keep a key, in the place of one that was there. Raises SetupError."""
    in_file, marker = _paths(function, endpoint)
    if in_keyring:
        keyring.put(keyring.service(endpoint), function, key)
        _write(marker, f"{function} at {endpoint}\n")
        _remove(in_file)
        return Login(function, endpoint, marker)
    _write(in_file, f"{key.reveal()}\n")
    _forget_in_keyring(function, endpoint, marker)
    return Login(function, endpoint, in_file)


def forget(function: str, endpoint: Endpoint) -> Login | None:
    """Remove what is stored; what that was. Raises SetupError."""
    login = find(function, endpoint)
    in_file, marker = _paths(function, endpoint)
    _forget_in_keyring(function, endpoint, marker)
    _remove(in_file)
    return login


def _forget_in_keyring(function: str, endpoint: Endpoint, marker: Path) -> None:
    if is_there(marker):
        keyring.remove(keyring.service(endpoint), function)
        _remove(marker)


def _paths(function: str, endpoint: Endpoint) -> tuple[Path, Path]:
    name = quote(function, safe="", errors="surrogateescape")[:LONGEST_NAME]
    identity = f"{endpoint} {function}".encode("utf-8", "surrogateescape")
    stem = user_folder() / "keys" / f"{name}-{short_key(identity)}"
    return Path(f"{stem}.key"), Path(f"{stem}.keyring")


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise FileUnusable(f"{path} cannot be removed: {error.strerror}") from error


def _write(path: Path, text: str) -> None:
    """In one step: whoever looks sees the old file or the new one. Raises SetupError."""
    private_folder(path.parent)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent)  # of mode 0600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise FileUnusable(f"{path} cannot be written: {error.strerror}") from error


class StoredKey:
    """A stored key, read again where `pifopfs login` has stored another one, wherever that is."""

    def __init__(self, function: str, endpoint: Endpoint) -> None:
        """Raises CredentialsInvalid."""
        self._function = function
        self._endpoint = endpoint
        self._version: object = None
        self.look()

    def look(self) -> ApiKey:
        """Raises CredentialsInvalid."""
        login, version = self._find()
        if version != self._version:
            self._read(login)
            self._version = version
        return self.key

    def read(self) -> ApiKey:
        """Raises CredentialsInvalid. The keyring is asked only where there is something new: it
        may ask the user.
        """
        login, _ = self._find()
        if not login.in_keyring:
            self._read(login)
        return self.look()

    def _find(self) -> tuple[Login, object]:
        login = find(self._function, self._endpoint)
        try:
            if login is not None:
                status = login.path.stat()
                return login, (login.path, status.st_ino, status.st_mtime_ns)
        except FileNotFoundError:  # it was removed just now
            login = None
        raise CredentialsInvalid(
            f"the stored key of {self._function} was removed; run pifopfs login {self._function}"
        )

    def _read(self, login: Login) -> None:
        if login.in_keyring:
            self.key = keyring.get(keyring.service(self._endpoint), self._function)
        else:
            self.key = KeyFile(login.path).key
