"""API keys: where they come from, and that they are never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

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
    def from_file(cls, path: Path) -> ApiKey:
        """The key in a file, white space around it stripped. Raises CredentialsInvalid."""
        try:
            with path.open("rb") as file:  # which may have no end, as /dev/zero
                text = file.read(LONGEST + 1).decode("ascii")
        except OSError as error:
            raise CredentialsInvalid(
                f"the API key file {path} cannot be read: {error.strerror}"
            ) from error
        except UnicodeDecodeError:
            raise CredentialsInvalid(f"the API key file {path} is not plain text") from None
        return cls(text.strip(), f"the API key file {path}")

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
