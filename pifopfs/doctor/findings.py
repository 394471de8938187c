"""What a check has found: whether all is well, in a line, and the mend where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How well it is."""

    OK = "ok"
    WARNING = "warning"
    """Something that may be needed does not work, or soon will not."""
    PROBLEM = "problem"
    """A mount, or what was asked about, does not work."""
    SKIPPED = "skipped"
    """It could not be told, or was not asked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `mend` says what to do; empty where nothing is to be done."""

    state: State
    text: str
    mend: str = ""


def ok(text: str) -> Finding:
    return Finding(State.OK, text)


def warning(text: str, mend: str) -> Finding:
    return Finding(State.WARNING, text, mend)


def problem(text: str, mend: str) -> Finding:
    return Finding(State.PROBLEM, text, mend)


def skipped(text: str) -> Finding:
    return Finding(State.SKIPPED, text)


def failing(text: str, mend: str, *, needed: bool) -> Finding:
    """A problem where it is needed for what was asked about, else a warning."""
    return Finding(State.PROBLEM if needed else State.WARNING, text, mend)
