"""How an execution ended, in one word for whoever decides by it."""

from __future__ import annotations

from enum import StrEnum

from pifopfs.wire import EndReason, Execution, Status


class End(StrEnum):
    """All that can come of an execution that was created."""

    DONE = "done"
    FAILED = "failed"
    """The service tells an exit code, and it is not 0."""
    OUT_OF_MEMORY = "out-of-memory"
    TIMEOUT = "timeout"
    """The time limit of the service."""
    STOPPED = "stopped"
    SYSTEM_ERROR = "system-error"
    OTHER = "other"
    """The service gives a reason that is not known here."""
    GONE = "gone"
    """It was terminated meanwhile, or the service does not know it."""
    OUTPUT_MISSING = "output-missing"
    """It was done, but an output that was asked for is not there."""
    TIME_OVER = "time-over"
    """It had not ended when our own patience was over."""
    NOT_STARTED = "not-started"


REASONS: dict[str | None, End] = {
    None: End.DONE,
    EndReason.NORMAL: End.DONE,
    EndReason.OUT_OF_MEMORY: End.OUT_OF_MEMORY,
    EndReason.TIMEOUT: End.TIMEOUT,
    EndReason.SYSTEM_ERROR: End.SYSTEM_ERROR,
}
"""The service's words."""


def how_ended(execution: Execution) -> End:
    """How an execution ended that has; a limit that was hit says more than the exit code of it."""
    assert execution.status is Status.ENDED  # noqa: S101  # the caller has waited for that
    end = REASONS.get(execution.end_reason or None, End.OTHER)
    if end is not End.DONE:
        return end
    if execution.stopped:
        return End.STOPPED
    return End.FAILED if execution.exit_code else End.DONE


def words(end: End, execution: Execution | None) -> str:
    """The rest of a sentence that begins with the execution."""
    match end:
        case End.FAILED if execution is not None:
            return f"failed with exit code {execution.exit_code}"
        case End.OTHER if execution is not None:
            return f"ended for a reason that is not known here: {execution.end_reason!r}"
        case _:
            return WORDS[end]


WORDS = {
    End.DONE: "is done",
    End.FAILED: "failed",
    End.OUT_OF_MEMORY: "was ended because it used more memory than it may",
    End.TIMEOUT: "was ended because it took more time than it may",
    End.STOPPED: "was stopped",
    End.SYSTEM_ERROR: "was cut off by a failure of the service's machine",
    End.OTHER: "ended for a reason that is not known here",
    End.GONE: "is no more: it was terminated meanwhile, or has expired",
    End.OUTPUT_MISSING: "is done, but did not produce all outputs that were asked for",
    End.TIME_OVER: "had not ended when the time of --timeout was over",
    End.NOT_STARTED: "has not been started",
}
