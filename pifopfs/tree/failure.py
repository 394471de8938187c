"""The last failure of an execution, as its file `error` shows it."""

from __future__ import annotations

from dataclasses import dataclass

from pifopfs.errors import PifopfsError


@dataclass(frozen=True, slots=True)
class Failure:
    """What was tried, and the error in words."""

    operation: str
    text: str

    @classmethod
    def of(cls, operation: str, error: PifopfsError) -> Failure:
        """With what the user can do, where that is known."""
        advice = f"{error.advice}\n" if error.advice else ""
        return cls(operation, f"{operation}: {error}\n{advice}")

    @property
    def content(self) -> bytes:
        """Of the file."""
        return self.text.encode("utf-8", "replace")
