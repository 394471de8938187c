"""What all parts of the client rest on: one service, one function, one way to make requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pifopfs import errors, wire
from pifopfs.api import answers, documents
from pifopfs.api.answers import Call
from pifopfs.api.authorization import Authorization
from pifopfs.api.breaker import CircuitBreaker
from pifopfs.api.credentials import ApiKey, KeySource
from pifopfs.api.deadlines import Deadlines
from pifopfs.api.endpoint import DEFAULT_ENDPOINT, Endpoint
from pifopfs.api.exchange import Exchange
from pifopfs.api.recording import Recorder
from pifopfs.api.requests import Request, segment, without_log
from pifopfs.api.retries import Policy
from pifopfs.api.transport import connections_of, make_client
from pifopfs.wire import ExecutionId

T = TypeVar("T")


class ClientBase:
    """Makes requests for one function. Here is the endpoint that explains the errors of others."""

    def __init__(
        self,
        function: str,
        *,
        endpoint: str | Endpoint = DEFAULT_ENDPOINT,
        api_key: str | ApiKey | KeySource | None = None,
        ca_file: Path | None = None,
        deadlines: Deadlines | None = None,
        allow_plain_http: bool = False,
    ) -> None:
        """`function` is AUTHOR/ID; `endpoint` is `https://HOST[:PORT]` or `unix:/path/of/socket`.

        A key in a KeySource may change meanwhile. `ca_file` replaces the system's certificates.
        Raises EndpointInvalid, CredentialsInvalid, and FunctionUnknown for a name that no function
        can have.
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
        self._service: dict[str, Any] = {
            "endpoint": endpoint,
            "api_key": api_key,
            "ca_file": ca_file,
        }
        self._http = make_client(endpoint, ca_file, self._deadlines)
        self.breaker = CircuitBreaker(self._deadlines.recheck)
        """Whether the service counts as down."""
        self.recorder = Recorder()
        """The requests so far."""
        self._exchange = Exchange(
            self._http,
            Authorization(api_key),
            self.breaker,
            self.recorder,
            patience=self._deadlines.total,
        )
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

    def connections(self) -> list[str]:
        """Those that are open or being opened, a line each."""
        return connections_of(self._http)

    async def execution(self, execution: ExecutionId, wait: float = 0.0) -> wire.Execution:
        """The Execution object, without its log. Raises ExecutionUnknown.

        `wait`: seconds in which a server may wait for the end before it answers. Where it can do
        that, the answer has `waited`.
        """
        wait = min(wait, self._deadlines.stall / 2)  # nothing comes meanwhile
        path = self._of(execution)
        request = without_log(Call.STATUS, "GET", path, f"of {execution}", wait=wait)
        parse = partial(documents.execution, execution)
        within = self._deadlines.total + wait
        return await self._exchange.document(request, parse, within=within, policy=self._reading)

    def _of(self, execution: ExecutionId, rest: str = "") -> str:
        part = segment(execution, errors.ExecutionUnknown, f"{execution!r}")
        return f"{self._path}/executions/{part}{rest}"

    async def _read(self, request: Request, parse: Callable[[object], T]) -> T:
        return await self._exchange.document(
            request, parse, within=self._deadlines.total, policy=self._reading
        )

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
