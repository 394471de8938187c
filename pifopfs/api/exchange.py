"""One request and its answer: deadlines, retries, and errors by the table of `answers`.

What the endpoints are is in `client`; what a 404 or 409 hides is looked into there, too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import httpx
import trio

from pifopfs import wire
from pifopfs.api import answers, wording
from pifopfs.api.authorization import Authorization
from pifopfs.api.bodies import UploadBody
from pifopfs.api.breaker import CircuitBreaker
from pifopfs.api.recording import Record, Recorder, about, current
from pifopfs.api.requests import Request
from pifopfs.api.retries import Retries
from pifopfs.api.transport import translated
from pifopfs.errors import AccessDenied, BadAnswer, ConnectionBroken, NoAnswer, ServiceError
from pifopfs.observing import ids

log = logging.getLogger(__name__)

KEY_REFUSED = (401, 403)

T = TypeVar("T")


def _nothing() -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Begun:
    """A success whose body is still to come."""

    response: httpx.Response
    unparsed: int = 0
    """Bytes of the body that were read past the response."""


class Exchange:
    """Sends requests to one service. Raises ServiceError, and nothing of httpx."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        authorization: Authorization,
        breaker: CircuitBreaker,
        recorder: Recorder,
        *,
        patience: float,
    ) -> None:
        """`patience`: seconds of the pauses between the tries of one call, together, and those
        that the answer to an upload may take from its last byte on.
        """
        self._http = http
        self._breaker = breaker
        self._recorder = recorder
        self._patience = patience
        self._authorization = authorization

    async def document(
        self,
        request: Request,
        parse: Callable[[object], T],
        *,
        within: float | None,
        policy: Retries | None = None,
    ) -> T:
        """The JSON document of a success. `within`: seconds for all tries together."""
        once = self._body if request.upload is None else self._uploaded
        record = self._recorder.begin(request)
        with self._recorder.noting(record):
            body = await self._recorded(record, lambda: once(request), request, within, policy)
            try:
                return parse(json.loads(body))
            except (ValueError, RecursionError, wire.MalformedDocument) as error:
                reason = wording.without_secrets(str(error), self._authorization.secrets)
                answer = f"the answer is not what the API has: {reason}"
                raise BadAnswer(request.tried, answer) from None

    async def headers(self, request: Request, *, within: float, policy: Retries) -> httpx.Headers:
        """The headers of a success."""

        async def once() -> httpx.Headers:
            async with self._answer(request) as response:
                with translated(request.tried):
                    await response.aread()  # there is none, but only then is the connection free
                return response.headers

        record = self._recorder.begin(request)
        with self._recorder.noting(record):
            return await self._recorded(record, once, request, within, policy)

    @asynccontextmanager
    async def begun(
        self, request: Request, *, within: float, policy: Retries
    ) -> AsyncIterator[Begun]:
        """A success whose body is still to come: what fails meanwhile is its failure, too."""
        record = self._recorder.begin(request)
        with self._recorder.noting(record):
            response = await self._recorded(
                record, lambda: self._begin(request), request, within, policy
            )
            begun = Begun(response)
            try:
                yield begun
            finally:
                await response.aclose()
                record.received += response.num_bytes_downloaded + begun.unparsed

    async def _uploaded(self, request: Request) -> bytes:
        """The body of the answer to an upload. Raises TooSlowError where it is late."""
        with trio.CancelScope() as scope:

            def sent() -> None:
                scope.deadline = min(scope.deadline, trio.current_time() + self._patience)

            return await self._body(request, sent)
        raise trio.TooSlowError

    async def _body(self, request: Request, sent: Callable[[], None] = _nothing) -> bytes:
        body = bytearray()
        async with self._answer(request, sent) as response:
            with translated(request.tried):
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > request.largest:
                        raise BadAnswer(
                            request.tried, f"the answer is longer than {request.largest} bytes"
                        )
        return bytes(body)

    @asynccontextmanager
    async def _answer(
        self, request: Request, sent: Callable[[], None] = _nothing
    ) -> AsyncIterator[httpx.Response]:
        response = await self._begin(request, sent)
        try:
            yield response
        finally:
            await _close(response)

    async def _begin(self, request: Request, sent: Callable[[], None] = _nothing) -> httpx.Response:
        """The beginning of a 2xx answer. Raises the meaning of any other."""
        response = await self._send(request, sent)
        if response.is_success:
            return response
        try:
            raise await self._refusal(request, response)
        finally:
            await _close(response)

    async def _send(self, request: Request, sent: Callable[[], None]) -> httpx.Response:
        body = request.upload.body(sent) if request.upload else None
        record, response = current.get(), None
        self._recorder.sending(record)
        try:
            with translated(request.tried):
                response = await self._http.send(self._build(request, body), stream=True)
            record.code = response.status_code
            self._breaker.answered(request.call)
            sent()  # an answer may come before the end
            if body is not None and response.is_success and not body.exhausted:
                await response.aclose()
                raise ConnectionBroken(request.tried, "success was told before all was sent")
            return response
        finally:
            if body is not None:
                record.sent += body.passed
                await self._let_go(body, response)

    @staticmethod
    async def _let_go(body: UploadBody, response: httpx.Response | None) -> None:
        """Close what was sent; where that is cancelled, nobody will read what came back."""
        try:
            await body.aclose()
        except BaseException:
            if response is not None:
                await response.aclose()
            raise

    def _build(self, request: Request, body: UploadBody | None) -> httpx.Request:
        url = httpx.URL(f"{str(self._http.base_url).rstrip('/')}{request.path}")
        headers = self._authorization.headers() | dict(request.headers)
        built = self._http.build_request(
            request.method, url, params=request.params or None, headers=headers
        )
        built.headers[ids.HEADER] = current.get().id
        if body is not None:
            del built.headers["Content-Length"]  # that of no body
            built.headers.update(body.headers())
            built.stream = body
        return built

    async def _refusal(self, request: Request, response: httpx.Response) -> ServiceError:
        code = response.status_code
        answer = await wording.reason(response, self._authorization.secrets)
        if code in KEY_REFUSED and not self._authorization.key:
            answer += " (no API key was given)"
        error = answers.meaning(request.call, code)(request.tried, answer)
        error.retry_after = wording.retry_after(response.headers.get("Retry-After"))
        error.code = code
        return error

    async def _recorded(
        self,
        record: Record,
        once: Callable[[], Awaitable[T]],
        request: Request,
        within: float | None,
        policy: Retries | None,
    ) -> T:
        """Call `once`, again where the policy says so, until it succeeds or time is up."""
        with about(record), self.counted(request):
            return await self._tries(once, request, within, policy)
        raise AssertionError("unreachable")

    @contextmanager
    def made_elsewhere(self, request: Request) -> Iterator[Record]:
        """Another process makes the request; it tells the record what it took."""
        record = self._recorder.begin(request)
        with self._recorder.noting(record), about(record), self.counted(request):
            self._recorder.sending(record)
            yield record

    @contextmanager
    def counted(self, request: Request) -> Iterator[None]:
        """A request is made here or elsewhere; not at all where the service counts as down."""
        self._breaker.admit(request.call, request.tried)
        began = trio.current_time()
        try:
            yield
        except ServiceError as error:
            self._breaker.failed(request.call, error, began)
            raise

    async def _authorized(self, once: Callable[[], Awaitable[T]], request: Request) -> T:
        """Call `once`; a second time where the key was refused and another one is in its place:
        what is refused for its key was not done.
        """
        key = await self._authorization.look()
        sent = trio.current_time()
        try:
            return await once()
        except AccessDenied as error:
            replaced = await self._authorization.replaced(key, sent)
            if self._authorization.problem:
                error.answer += f" ({self._authorization.problem})"
            if not replaced or not request.repeatable:
                raise
        return await once()

    async def _tries(
        self,
        once: Callable[[], Awaitable[T]],
        request: Request,
        within: float | None,
        policy: Retries | None,
    ) -> T:
        deadline = trio.current_time() + (float("inf") if within is None else within)
        tries, paused = 0, 0.0
        while True:
            try:
                with trio.fail_at(deadline):
                    return await self._authorized(once, request)
            except trio.TooSlowError:
                seconds = self._patience if within is None else within
                raise NoAnswer(request.tried, f"no answer within {seconds:g} s") from None
            except ServiceError as error:
                tries += 1
                pause = None if policy is None else policy.pause(error, tries)
                if pause is None or trio.current_time() + pause >= deadline:
                    raise
                paused += pause
                if paused > self._patience:  # an upload has no deadline of its own
                    raise
                log.info("%s; again in %.2g s", error, pause)
            await trio.sleep(pause)


async def _close(response: httpx.Response) -> None:
    """All is read of it that will be."""
    current.get().received += response.num_bytes_downloaded
    await response.aclose()
