"""What the two processes tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pifopfs.api.incoming import Head, Span
from pifopfs.api.recording import Tally
from pifopfs.wire import ExecutionId

# ── To the process that moves ────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Configure:
    """How a client of the service is made."""

    make_client: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Save:
    """Write an output to the file that comes with this."""

    number: int
    place: int
    execution: ExecutionId
    output: str
    expected: int | None
    span: Span | None
    request: str
    """The id of the request."""


@dataclass(frozen=True, slots=True)
class Send:
    """Upload the file that comes with this; `growing`: as far as it will have come, unless it is
    `whole` already.
    """

    number: int
    place: int
    execution: ExecutionId
    input: str
    growing: bool
    whole: bool
    request: str
    """The id of the request."""


@dataclass(frozen=True, slots=True)
class Grown:
    """The file has come to what was wanted, or is whole."""

    number: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody wants it any more."""

    number: int


# ── From it ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Began:
    number: int
    head: Head


@dataclass(frozen=True, slots=True)
class Arrived:
    """It has come to what was wanted."""

    number: int


@dataclass(frozen=True, slots=True)
class Ended:
    """There will be no more of it."""

    number: int
    result: object = None
    error: Exception | None = None
    tally: Tally | None = None
    """What it took."""
