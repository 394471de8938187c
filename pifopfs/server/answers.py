"""Documents, errors and bodies as HTTP answers.

Both official clients parse every success as JSON, and one dies of an error without a JSON body:
so every answer has one, save an output.
"""

from __future__ import annotations

import logging
import os
from pathlib import PurePosixPath
from typing import Any

import trio
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from pifopfs.server.keys import Key
from pifopfs.server.refusals import CannotRunNow, KeyNeeded, Refusal
from pifopfs.server.store import Record
from pifopfs.wire import FileSpec, Status

log = logging.getLogger(__name__)

HEADERS = {"Cache-Control": "no-store"}
REFUSAL_HEADERS: dict[type[Refusal], dict[str, str]] = {
    CannotRunNow: {"Retry-After": "3"},
    KeyNeeded: {"WWW-Authenticate": "Bearer"},
}
PIECE = 256 << 10

CONTENT_TYPES = {
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
}
"""Without a charset, one client reads text as Latin-1."""


def success(document: object) -> Response:
    """A JSON document."""
    return JSONResponse(document, headers=HEADERS)


def failure(code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error."""
    return JSONResponse({"errorMessage": message}, code, headers=HEADERS | (headers or {}))


def refused(refusal: Refusal) -> Response:
    """A refusal as an error."""
    return failure(refusal.code, refusal.message, REFUSAL_HEADERS.get(type(refusal)))


def execution_document(record: Record) -> dict[str, Any]:
    """The Execution object, without its log."""
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


class OutputBody(Response):
    """The bytes of an output. Closes its descriptor in any case."""

    def __init__(self, spec: FileSpec, file: int, size: int) -> None:
        suffix = PurePosixPath(spec.path or spec.id).suffix.lower()
        kind = CONTENT_TYPES.get(suffix, "application/octet-stream")
        super().__init__(headers={**HEADERS, "Content-Type": kind, "Content-Length": str(size)})
        self._file = file
        self._size = size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await self._send(send, 0 if scope["method"] == "HEAD" else self._size)
                nursery.cancel_scope.cancel()
        finally:
            os.close(self._file)

    async def _send(self, send: Send, left: int) -> None:
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        while left:
            piece = await trio.to_thread.run_sync(os.read, self._file, min(PIECE, left))
            if not piece:  # without its end the connection breaks, as it must
                log.warning("an output became shorter while it was sent")
                return
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    """End the answer with its reader: what is sent to nobody is taken without a word."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
