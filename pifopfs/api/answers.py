"""The total table of this protocol: what an HTTP answer that is no success means, per endpoint."""

from __future__ import annotations

from enum import StrEnum

from pifopfs import errors
from pifopfs.errors import ServiceError
from pifopfs.wire import Status


class Call(StrEnum):
    """The endpoints, in the words of their errors."""

    FUNCTION = "function info"
    CREATE = "create an execution"
    UPLOAD = "upload"
    START = "start"
    STATUS = "status"
    LOG = "log"
    SIZE = "size of output"
    OUTPUT = "output"
    STOP = "stop"
    TERMINATE = "terminate"
    CREATE_KEY = "create an API key"
    DELETE_KEY = "delete an API key"

    @property
    def endpoint(self) -> str:
        """One word, for lists and statistics."""
        return self.name.lower()


OF_AN_EXECUTION = {
    Call.UPLOAD, Call.START, Call.STATUS, Call.LOG, Call.SIZE, Call.OUTPUT, Call.STOP,
    Call.TERMINATE,
}  # fmt: skip

ANY_CALL: dict[int, type[ServiceError]] = {
    401: errors.AccessDenied,
    403: errors.AccessDenied,
    404: errors.FunctionUnknown,
    413: errors.TooLarge,
    429: errors.ServiceBusy,
    503: errors.ServiceBusy,
}

EXCEPTIONS: dict[tuple[Call, int], type[ServiceError]] = {
    **{(call, 404): errors.ExecutionUnknown for call in OF_AN_EXECUTION},
    (Call.CREATE, 429): errors.TooManyExecutions,
    (Call.START, 429): errors.TooManyExecutions,
    (Call.DELETE_KEY, 404): errors.ApiKeyUnknown,
}
"""Where an endpoint differs from `ANY_CALL`."""

UNKNOWN_PART: dict[Call, type[ServiceError]] = {
    Call.UPLOAD: errors.InputUnknown,
    Call.SIZE: errors.OutputUnknown,
    Call.OUTPUT: errors.OutputUnknown,
}
"""What a 404 means where the execution itself is known."""

CONFLICTS: dict[tuple[Call, Status], type[ServiceError]] = {
    (Call.UPLOAD, Status.RUNNING): errors.InputsClosed,
    (Call.UPLOAD, Status.ENDED): errors.InputsClosed,
    (Call.START, Status.RUNNING): errors.AlreadyRunning,
    (Call.START, Status.ENDED): errors.AlreadyEnded,
    (Call.STOP, Status.PENDING): errors.NotStarted,
    (Call.SIZE, Status.PENDING): errors.NotEnded,
    (Call.SIZE, Status.RUNNING): errors.NotEnded,
    (Call.OUTPUT, Status.PENDING): errors.NotEnded,
    (Call.OUTPUT, Status.RUNNING): errors.NotEnded,
}
"""What a 409 means, by the status that the service then tells."""


def meaning(call: Call, code: int) -> type[ServiceError]:
    """The error for an answer that is not 2xx, before a 404 or 409 is looked into."""
    if (call, code) in EXCEPTIONS:
        return EXCEPTIONS[call, code]
    if code in ANY_CALL:
        return ANY_CALL[code]
    return errors.ServiceFailure if code >= 500 else errors.RequestRejected


def conflict(call: Call, status: Status) -> type[ServiceError]:
    """The error for a 409."""
    return CONFLICTS.get((call, status), errors.RequestRejected)
