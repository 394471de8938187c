"""Documents, errors and bodies as HTTP answers.

Both official clients parse every success as JSON, and one dies of an error without a JSON body:
so every answer has one, save an output.
"""

from __future__ import annotations

import logging
from typing import Any

from starlette.responses import JSONResponse, Response

from pifopfs.server.keys import Key
from pifopfs.server.refusals import CannotRunNow, KeyNeeded, Refusal
from pifopfs.server.store import Record
from pifopfs.wire import Status

log = logging.getLogger(__name__)

HEADERS = {"Cache-Control": "no-store"}
REFUSAL_HEADERS: dict[type[Refusal], dict[str, str]] = {
    CannotRunNow: {"Retry-After": "3"},
    KeyNeeded: {"WWW-Authenticate": "Bearer"},
}


def success(document: object) -> Response:
    """A JSON document."""
    return JSONResponse(document, headers=HEADERS)


def failure(code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error."""
    return JSONResponse({"errorMessage": message}, code, headers=HEADERS | (headers or {}))


def refused(refusal: Refusal) -> Response:
    """A refusal as an error."""
    return failure(refusal.code, refusal.message, REFUSAL_HEADERS.get(type(refusal)))


def execution_document(record: Record, position: int | None = None) -> dict[str, Any]:
    """The Execution object, without its log. `position`: how many wait in a queue before it."""
    document: dict[str, Any] = {
        "id": record.id,
        "func_author": record.author,
        "func_id": record.function,
        "status": record.status.value,
        "end_reason": record.end_reason,
        "init_date": record.init_date,
        "start_date": record.start_date,
        "end_date": record.end_date,
    }
    if position is not None:
        document["queue_position"] = position
    if record.status is Status.ENDED:
        document["exit_code"] = record.exit_code
        document["stopped"] = record.stopped
        document["output"] = [spec.to_json() for spec in record.output or ()]
    return document


def key_document(key: Key) -> dict[str, Any]:
    """The API key object, without the key itself."""
    limits = key.limits
    return {
        "name": key.name,
        "max_memory": limits.max_memory,
        "max_time": limits.max_time,
        "max_executions": limits.max_executions,
        "max_parallel_jobs": limits.max_executions,
    }
