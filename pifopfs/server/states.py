"""The life of an execution, as a table: which request is possible in which state.

    pending  ──start──▶  running  ──the program ends, or stop──▶  ended

What is not allowed is a conflict (409). From the API's documents: uploads only while pending,
outputs only after the end. The rest is this server's choice where they are silent.
"""

from __future__ import annotations

from enum import StrEnum

from pifopfs.wire import Status


class Action(StrEnum):
    """Requests that depend on the state."""

    UPLOAD = "upload"
    START = "start"
    OUTPUT = "output"
    STOP = "stop"


P, R, E = Status.PENDING, Status.RUNNING, Status.ENDED

ALLOWED: dict[Action, frozenset[Status]] = {
    Action.UPLOAD: frozenset({P}),
    Action.START: frozenset({P}),
    Action.OUTPUT: frozenset({E}),
    Action.STOP: frozenset({R, E}),  # the end may win the race: then stop has nothing to do
}

REASONS: dict[Action, str] = {
    Action.UPLOAD: "inputs are accepted only before the start",
    Action.START: "an execution is started once",
    Action.OUTPUT: "outputs are there only after the end",
    Action.STOP: "it has not been started",
}


def refusal(action: Action, status: Status) -> str | None:
    """Why `action` is not possible in `status`, None where it is."""
    if status in ALLOWED[action]:
        return None
    return f"the execution is {status}: {REASONS[action]}"
