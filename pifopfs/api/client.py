"""The client: one method for each endpoint of the REST API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import trio

from pifopfs import errors, wire
from pifopfs.api import answers, documents
from pifopfs.api.answers import Call
from pifopfs.api.bodies import Content, OutputStream, Upload, output_length
from pifopfs.api.breaker import CircuitBreaker
from pifopfs.api.credentials import ApiKey
from pifopfs.api.deadlines import Deadlines
from pifopfs.api.endpoint import DEFAULT_ENDPOINT, Endpoint
from pifopfs.api.exchange import Exchange
from pifopfs.api.requests import LARGEST_LOG, Request, segment, without_log
from pifopfs.api.retries import Policy, Remembering
from pifopfs.api.transport import CONNECTIONS, make_client
from pifopfs.wire import ExecutionId

TRANSFERS = CONNECTIONS // 2
"""Bodies on their way at once; others wait, so that small calls always get a connection."""
HEAD_UNSUPPORTED = {400, 405, 501}

T = TypeVar("T")


class FunctionClient:
    """A function of PIFOP Functions, called over its REST API. Use it with `async with`, in trio.

    Every method raises a ServiceError of `pifopfs.errors` when it fails, within the deadlines.
    Reads, uploads that can be repeated, stop and terminate are tried again after failures that
    pass; creating and starting never are (`start` asks for the status instead).
    """

    def __init__(
        self,
        function: str,
        *,
        endpoint: str | Endpoint = DEFAULT_ENDPOINT,
        api_key: str | ApiKey | None = None,
        ca_file: Path | None = None,
        deadlines: Deadlines | None = None,
        allow_plain_http: bool = False,
    ) -> None:
        """`function` is AUTHOR/ID; `endpoint` is `https://HOST[:PORT]` or `unix:/path/of/socket`.

        `ca_file` replaces the system's certificates. Raises EndpointInvalid, CredentialsInvalid,
        and FunctionUnknown for a name that no function can have.
        """
        if isinstance(endpoint, str):
            endpoint = Endpoint.parse(endpoint, allow_plain_http=allow_plain_http)
        if isinstance(api_key, str):
            api_key = ApiKey(api_key)
        self.name = function
        author, _, name = function.partition("/")
        unknown = errors.FunctionUnknown
        self._path = f"/{segment(author, unknown, function)}/{segment(name, unknown, function)}"
        self._deadlines = deadlines or Deadlines()
        self._http = make_client(endpoint, api_key, ca_file, self._deadlines)
        breaker = CircuitBreaker(self._deadlines.recheck)
        self._exchange = Exchange(self._http, breaker, patience=self._deadlines.total)
        self._transfers = trio.CapacityLimiter(TRANSFERS)
        self._reading = Policy(self._deadlines, server_errors=True)
        self._repeating = Policy(self._deadlines)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    # ── The function ─────────────────────────────────────────────────────────────────────────

    async def function(self) -> wire.Function:
        """The Function object. Raises FunctionUnknown."""
        request = Request(Call.FUNCTION, "GET", self._path, f"of {self.name}")
        return await self._read(request, wire.Function.from_json)

    async def create(self) -> wire.Execution:
        """A new execution, pending. One request: after Unclear there may be one nobody knows of.

        Raises TooManyExecutions.
        """
        request = without_log(Call.CREATE, "POST", f"{self._path}/executions", f"of {self.name}")
        return await self._exchange.document(
            request, wire.Execution.from_json, within=self._deadlines.create
        )

    # ── An execution ─────────────────────────────────────────────────────────────────────────

    async def upload(
        self, execution: ExecutionId, input_id: str, content: Content
    ) -> wire.InputInfo:
        """Give an input its bytes; a file or stream is not held in memory.

        Bytes and files are sent again after a failure that passes, an asynchronous iterable is
        not. Raises InputUnknown, InputsClosed, TooLarge; OSError, before anything is sent, for a
        Path that cannot be opened or is no regular file that knows its length (a pipe, /proc/…).
        """
        subject = f"of input {input_id} to {execution}"
        part = segment(input_id, errors.InputUnknown, f"{Call.UPLOAD} {subject}")
        upload = Upload(content)
        request = Request(
            Call.UPLOAD, "POST", self._of(execution, f"/input/{part}"), subject, upload=upload
        )
        policy = Remembering(self._repeating) if upload.repeatable else None
        try:
            async with self._transfers:
                return await self._exchange.document(
                    request, wire.InputInfo.from_json, within=None, policy=policy
                )
        except errors.ServiceError as error:
            failure = await self._explained(request, execution, error)
            failure.after_unclear = policy is not None and policy.unclear
            raise failure from None

    async def start(self, execution: ExecutionId) -> wire.Execution:
        """Start it, once. After an unclear outcome the status decides.

        Raises AlreadyRunning, AlreadyEnded, TooManyExecutions.
        """
        path = self._of(execution, "/start")
        request = without_log(Call.START, "POST", path, f"of {execution}")
        try:
            return await self._exchange.document(
                request, partial(documents.execution, execution), within=self._deadlines.total
            )
        except errors.Unclear as unclear:
            try:
                seen = await self.execution(execution)
            except errors.ServiceError:
                raise unclear from None
            if seen.status is wire.Status.PENDING:
                raise
            return seen
        except errors.Refused as error:
            raise await self._explained(request, execution, error) from None

    async def execution(self, execution: ExecutionId) -> wire.Execution:
        """The Execution object, without its log. Raises ExecutionUnknown."""
        path = self._of(execution)
        request = without_log(Call.STATUS, "GET", path, f"of {execution}")
        return await self._read(request, partial(documents.execution, execution))

    async def log(self, execution: ExecutionId, offset: int = 0) -> wire.LogPiece:
        """The Execution object with its log from byte `offset` on, or the whole log where the
        service cannot tell a part: look at the answer's `offset`. Raises ExecutionUnknown.
        """
        request = Request(
            Call.LOG,
            "GET",
            self._of(execution),
            f"of {execution}",
            params={"include_log": "true", "log_offset": offset},
            largest=LARGEST_LOG,
        )
        return await self._read(request, partial(documents.log, execution))

    async def output_size(self, execution: ExecutionId, output_id: str) -> int | None:
        """The length of an output in bytes, None where the service does not tell.

        Raises OutputUnknown, NotEnded.
        """
        request = self._output_request(Call.SIZE, "HEAD", execution, output_id)
        try:
            headers = await self._exchange.headers(
                request, within=self._deadlines.total, policy=self._reading
            )
        except errors.Refused as error:
            if error.code in HEAD_UNSUPPORTED:
                return None
            raise await self._explained(request, execution, error) from None
        plain = headers.get("Content-Encoding", "identity") == "identity"
        return output_length(headers.get("Content-Length", "")) if plain else None

    @asynccontextmanager
    async def output(self, execution: ExecutionId, output_id: str) -> AsyncIterator[OutputStream]:
        """The bytes of an output, as a stream. Raises OutputUnknown, NotEnded."""
        request = self._output_request(Call.OUTPUT, "GET", execution, output_id)
        async with self._transfers, self._stream(request, execution) as stream:
            yield stream

    @asynccontextmanager
    async def _stream(
        self, request: Request, execution: ExecutionId
    ) -> AsyncIterator[OutputStream]:
        try:
            response = await self._exchange.begin(
                request, within=self._deadlines.total, policy=self._reading
            )
        except errors.Refused as error:
            raise await self._explained(request, execution, error) from None
        try:
            if response.status_code != 200:
                raise errors.BadAnswer(request.tried, f"{response.status_code} where 200 is due")
            yield OutputStream(request.tried, response)
        finally:
            await response.aclose()

    async def stop(self, execution: ExecutionId) -> wire.Execution:
        """End a running execution; one that has ended stays as it is. Raises NotStarted."""
        path = self._of(execution, "/stop")
        request = without_log(Call.STOP, "POST", path, f"of {execution}")
        try:
            return await self._exchange.document(
                request,
                partial(documents.execution, execution),
                within=self._deadlines.total,
                policy=self._repeating,
            )
        except errors.Refused as error:
            raise await self._explained(request, execution, error) from None

    async def terminate(self, execution: ExecutionId) -> None:
        """Delete the execution, also when it runs. Raises ExecutionUnknown."""
        path = self._of(execution)
        request = without_log(Call.TERMINATE, "DELETE", path, f"of {execution}")
        await self._delete(request, errors.ExecutionUnknown, self._deadlines.create)

    # ── API keys: for the author, with the master key ────────────────────────────────────────

    async def create_api_key(
        self,
        name: str,
        *,
        max_memory: float | None = None,
        max_time: float | None = None,
        max_executions: int | None = None,
    ) -> wire.ApiKeyInfo:
        """A new key for this function; limits in megabytes, minutes, running executions.

        Needs the master key as `api_key`. Raises RequestRejected where the name is taken.
        """
        limits = {"max_memory": max_memory, "max_time": max_time, "max_executions": max_executions}
        params = {"key_name": name} | {k: str(v) for k, v in limits.items() if v is not None}
        path = f"{self._path}/api_keys"
        request = Request(Call.CREATE_KEY, "POST", path, f"{name!r}", params=params)
        return await self._exchange.document(
            request, wire.ApiKeyInfo.from_json, within=self._deadlines.total
        )

    async def delete_api_key(self, name: str) -> None:
        """Take a key back. Needs the master key. Raises ApiKeyUnknown."""
        part = segment(name, errors.ApiKeyUnknown, f"{Call.DELETE_KEY} {name!r}")
        path = f"{self._path}/api_keys/{part}"
        request = Request(Call.DELETE_KEY, "DELETE", path, f"{name!r}")
        await self._delete(request, errors.ApiKeyUnknown, self._deadlines.total)

    # ── What they share ──────────────────────────────────────────────────────────────────────

    def _of(self, execution: ExecutionId, rest: str = "") -> str:
        part = segment(execution, errors.ExecutionUnknown, f"{execution!r}")
        return f"{self._path}/executions/{part}{rest}"

    def _output_request(
        self, call: Call, method: str, execution: ExecutionId, output_id: str
    ) -> Request:
        subject = f"{output_id} of {execution}"
        part = segment(output_id, errors.OutputUnknown, f"{call} {subject}")
        return Request(call, method, self._of(execution, f"/output/{part}"), subject)

    async def _read(self, request: Request, parse: Callable[[object], T]) -> T:
        return await self._exchange.document(
            request, parse, within=self._deadlines.total, policy=self._reading
        )

    async def _delete(
        self, request: Request, unknown: type[errors.ServiceError], within: float
    ) -> None:
        """Delete, again where that may help: it is done when a later try finds nothing."""
        policy = Remembering(self._repeating)
        try:
            await self._exchange.document(request, _anything, within=within, policy=policy)
        except unknown:
            if not policy.unclear:
                raise

    async def _explained(
        self, request: Request, execution: ExecutionId, error: errors.ServiceError
    ) -> errors.ServiceError:
        """What a 409 or 404 means, which the execution's status tells; other errors as they are."""
        unknown = answers.UNKNOWN_PART.get(request.call) if error.code == 404 else None
        if error.code != 409 and unknown is None:
            return error
        try:
            seen = await self.execution(execution)
        except errors.ServiceError as failure:
            return failure
        kind = unknown or answers.conflict(request.call, seen.status)
        return kind(error.tried, error.answer)


def _anything(document: object) -> None:
    """What is deleted needs no reading."""
