"""Keyrings for tests, in place of the desktop's: PYTHON_KEYRING_BACKEND=tests.keyrings.Keyring."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

FILE = "TEST_KEYRING"
"""The variable with the path of the file that this one uses: {service: {user: password}}."""


class Keyring(KeyringBackend):
    """A file, which is locked where it holds `locked`."""

    priority = 5.0  # type: ignore[assignment]  # as most backends have it

    def get_password(self, service: str, username: str) -> str | None:
        return self._all().get(service, {}).get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        everything = self._all()
        everything.setdefault(service, {})[username] = password
        _file().write_text(json.dumps(everything))

    def delete_password(self, service: str, username: str) -> None:
        everything = self._all()
        if username not in everything.get(service, {}):
            raise PasswordDeleteError("not found")
        del everything[service][username]
        _file().write_text(json.dumps(everything))

    @staticmethod
    def _all() -> dict[str, dict[str, str]]:
        text = _file().read_text() if _file().exists() else "{}"
        if text == "locked":
            raise KeyringLocked("the collection is locked")
        found: dict[str, dict[str, str]] = json.loads(text)
        return found


class PlainText(Keyring):
    """One that the library does not recommend."""

    priority = 0.5  # type: ignore[assignment]


def _file() -> Path:
    return Path(os.environ[FILE])
