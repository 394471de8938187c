"""How a run has ended, as it is recorded, and what its log says of that."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from pifopfs.server.engines import LaunchRefused, SetUpFailed
from pifopfs.wire import EndReason, FileSpec


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended; `note` is a line for its log."""

    end_reason: EndReason
    exit_code: int | None = None
    note: str = ""
    output: tuple[FileSpec, ...] = ()
    """What was produced."""
    stopped: bool = False
    """Somebody asked for the end."""


CUT_OFF = Outcome(EndReason.SYSTEM_ERROR, note="the run was cut off: the server ended")
LOST = Outcome(EndReason.SYSTEM_ERROR, note="the run was lost: the server failed; see its log")
NEVER_LAUNCHED = Outcome(
    EndReason.NORMAL, note="it was stopped before its program was launched", stopped=True
)


def for_callers(error: OSError | sqlite3.Error, folder: Path, *, launched: bool) -> str:
    """A line for its log, without paths of this machine that are no caller's business."""
    text = str(error).replace(f"{folder}/", "")
    if isinstance(error, SetUpFailed):
        text = "its sandbox could not be set up; the server's log says why"
    elif launched and not isinstance(error, LaunchRefused | FileNotFoundError):
        return f"ended: it cannot be followed: {text}"
    return f"the program cannot be launched: {text}"
