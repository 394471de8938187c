"""API keys: that they are never shown, and what keeps one that may change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from pifopfs.errors import CredentialsInvalid

VARIABLE = "PIFOPFS_API_KEY"
PRINTABLE = re.compile(r"[\x21-\x7e]+")
LONGEST = 4096


class ApiKey:
    """A secret. Its text leaves only through `reveal`; `repr` and `str` hide it."""

    __slots__ = ("_text",)

    def __init__(self, text: str, source: str = "the API key") -> None:
        """`source` names it in errors. Raises CredentialsInvalid."""
        if not text:
            raise CredentialsInvalid(f"{source} is empty; put the API key of the function in it")
        if len(text) > LONGEST or not PRINTABLE.fullmatch(text):
            raise CredentialsInvalid(
                f"{source} holds blanks or characters that no API key has; put the key alone in it"
            )
        self._text = text

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> ApiKey | None:
        """The key in PIFOPFS_API_KEY, None where it is not set. Raises CredentialsInvalid."""
        text = environ.get(VARIABLE)
        return None if text is None else cls(text.strip(), f"the variable {VARIABLE}")

    def reveal(self) -> str:
        """The key's text, for the Authorization header."""
        return self._text

    def __repr__(self) -> str:
        return "ApiKey(…)"


class KeySource(Protocol):
    """What keeps a key that may change. Both calls may block, and raise CredentialsInvalid."""

    key: ApiKey
    """As it was last read."""

    def look(self) -> ApiKey:
        """The key, read again where it has changed; a look costs next to nothing."""

    def read(self) -> ApiKey:
        """The key, read again in any case: the service has refused the last one."""
