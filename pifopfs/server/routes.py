"""The REST API over HTTP: each endpoint is a call into `executions` and an answer."""

from __future__ import annotations

import contextlib
import errno
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from http import HTTPStatus
from typing import Any

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from pifopfs.server import answers, openapi, outputs, waiting
from pifopfs.server.bodies import DocumentBody
from pifopfs.server.callers import Caller
from pifopfs.server.cors import Cors
from pifopfs.server.executions import Executions
from pifopfs.server.gate import Gate
from pifopfs.server.key_routes import KeyApi, admitted
from pifopfs.server.logs import Span
from pifopfs.server.refusals import Refusal, TooSlow
from pifopfs.server.store import Record

log = logging.getLogger(__name__)

YES, NO = {"true", "1", "yes"}, {"false", "0", "no"}
FULL = {errno.ENOSPC, errno.EDQUOT}

DRAIN_TIME = 10.0
DRAIN_SIZE = 64 << 20
"""Seconds and bytes for which a body that nobody wants is taken."""

LONGEST_PIECE = 4 << 20
"""Bytes of a log in one answer, for those who ask for it from an offset on: they ask again."""

LONGEST_OFFSET = 15
"""Digits."""

Handler = Callable[[Request], Awaitable[Response]]


def make_app(executions: Executions, gate: Gate) -> ASGIApp:
    """The ASGI application; `gate` admits its requests."""
    api, keys = _Api(executions, gate), KeyApi(executions, gate)
    function = "/{author}/{function}"
    one = function + "/executions/{execution}"
    routes: list[tuple[str, str, Handler]] = [
        ("GET", function, api.function),
        ("POST", function, api.create),
        ("POST", function + "/executions", api.create),
        ("POST", one + "/input/{part}", api.upload),
        ("POST", one + "/start", api.start),
        ("GET", one, api.info),
        ("GET", one + "/output/{part}", api.output),
        ("POST", one + "/stop", api.stop),
        ("DELETE", one, api.delete),
        ("POST", function + "/api_keys", keys.create),
        ("DELETE", function + "/api_keys/{name}", keys.delete),
        ("GET", openapi.PATH, openapi.answer),
    ]
    app = Starlette(
        routes=[
            Route(path, handler if handler == api.upload else _drained(handler), methods=[method])
            for method, path, handler in routes
        ],
        exception_handlers={
            Refusal: _refused,
            HTTPException: _http_error,
            ClientDisconnect: _gone,
            OSError: _disk_failed,
            sqlite3.Error: _disk_failed,
            Exception: _bug,
        },
    )
    app.router.redirect_slashes = False  # a client that follows no redirects would be lost
    return Cors(app)


class _Api:
    """The handlers."""

    def __init__(self, executions: Executions, gate: Gate) -> None:
        self._executions = executions
        self._gate = gate

    async def function(self, request: Request) -> Response:
        caller, name = admitted(request, self._gate, self._executions)
        found = self._executions.function(*name)
        document = found.document() | {"isolation": self._executions.isolation}
        if caller.max_executions is not None:
            document["max_executions"] = caller.max_executions
        if caller.is_master and self._gate.keys is not None:
            keys = self._gate.keys.all(*name)
            document["api_keys"] = [answers.key_document(key) for key in keys]
        return answers.success(document)

    async def create(self, request: Request) -> Response:
        caller, name = admitted(request, self._gate, self._executions)
        return await self._document(request, self._executions.create(caller, *name))

    async def upload(self, request: Request) -> Response:
        _, record = self._record(request)
        async with aclosing(request.stream()) as pieces:
            info = await self._executions.upload(record, request.path_params["part"], pieces)
        return answers.success(info.to_json())

    async def start(self, request: Request) -> Response:
        record = self._executions.start(*self._record(request))
        return await self._document(request, record)

    async def info(self, request: Request) -> Response:
        record, more = self._record(request)[1], {}
        time = waiting.seconds(request.query_params.get("wait"))
        if time is not None:
            await waiting.wait(request, time, partial(self._executions.until_ended, record))
            record, more = self._record(request)[1], {"waited": True}
        return await self._document(request, record, **more)

    async def output(self, request: Request) -> Response:
        _, record = self._record(request)
        spec, file = self._executions.output(record, request.path_params["part"])
        return outputs.answer(request, spec, file)

    async def stop(self, request: Request) -> Response:
        record = await self._executions.stop(self._record(request)[1])
        return await self._document(request, record)

    async def delete(self, request: Request) -> Response:
        last = await self._executions.end(self._record(request)[1])
        answer = await self._document(request, last)
        await self._executions.drop(last)
        return answer

    def _record(self, request: Request) -> tuple[Caller, Record]:
        caller, name = admitted(request, self._gate, self._executions)
        return caller, self._executions.get(caller, *name, request.path_params["execution"])

    async def _document(self, request: Request, record: Record, **more: Any) -> Response:
        """The Execution object, with so much of its log as the query asks for."""
        offset = _offset(request)
        document = answers.execution_document(record, self._executions.position(record)) | more
        told = request.query_params.get("stdout", "").lower() in YES
        logged = request.query_params.get("include_log", "").lower() not in NO
        if not (told or logged):
            return answers.success(document)
        reader = await trio.to_thread.run_sync(self._executions.log, record)
        parts: dict[str, Span] = {}
        if told:  # HEAD must change nothing
            moves = request.method != "HEAD"
            parts["stdout"] = self._executions.new_output(record, reader, moves=moves)
        if logged:
            parts["log"] = reader.span(offset or 0, None if offset is None else LONGEST_PIECE)
            if offset is not None:
                document["log_offset"] = parts["log"].start
        return await trio.to_thread.run_sync(DocumentBody, document, reader, parts)


def _drained(handler: Handler) -> Handler:
    """A handler that wants no body; one that comes is taken first, else its sender might break off
    without having read the answer. Nothing is done for a client that has gone.
    """

    async def handle(request: Request) -> Response:
        await _take_body(request)
        return await handler(request)

    return handle


def _offset(request: Request) -> int | None:
    text = request.query_params.get("log_offset")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_OFFSET):
        raise Refusal("log_offset must be a whole number of bytes")
    return int(text)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101  # it is registered for nothing else
    if not isinstance(error, TooSlow):  # then nothing comes that could be taken
        await _drain(request)
    return answers.refused(error)


async def _drain(request: Request) -> None:
    """Take what is still on its way, so that the client comes to read the answer."""
    with contextlib.suppress(ClientDisconnect, RuntimeError):  # the latter where all has been read
        await _take_body(request)


async def _take_body(request: Request) -> None:
    """Take a body, within bounds. Raises ClientDisconnect."""
    with trio.move_on_after(DRAIN_TIME):
        left = DRAIN_SIZE
        async with aclosing(request.stream()) as pieces:
            async for piece in pieces:
                left -= len(piece)
                if left < 0:
                    return


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # it is registered for nothing else
    await _drain(request)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _methods(request)
    return answers.failure(error.status_code, error.detail, headers)


def _methods(request: Request) -> str:
    """What this address can be asked with: it has a route for each method."""
    routes: list[Route] = request.app.routes
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({"OPTIONS"}.union(*(route.methods or () for route in here))))


async def _gone(_: Request, __: Exception) -> Response:
    """The client has gone; nobody reads this."""
    return answers.failure(400, "the request ended before its body did")


async def _disk_failed(request: Request, error: Exception) -> Response:
    log.error("%s %s: %s", request.method, request.url.path, error)
    full = getattr(error, "errno", None) in FULL or (
        getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    )
    await _drain(request)
    reason = getattr(error, "strerror", None) or error
    return answers.failure(507 if full else 500, f"the server's disk failed: {reason}")


async def _bug(_: Request, error: Exception) -> Response:
    return answers.failure(500, f"the server failed: {type(error).__name__}; see its log")
