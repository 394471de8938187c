"""One request and its answer: deadlines, retries, and errors by the table of `answers`.

What the endpoints are is in `client`; what a 404 or 409 hides is looked into there, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import trio

from pifopfs import wire
from pifopfs.api import answers
from pifopfs.api.bodies import UploadBody
from pifopfs.api.breaker import CircuitBreaker
from pifopfs.api.requests import LARGEST_DOCUMENT, Request
from pifopfs.api.retries import Retries
from pifopfs.api.transport import translated
from pifopfs.errors import BadAnswer, ConnectionBroken, NoAnswer, ServiceError

LONGEST_MESSAGE = 300

T = TypeVar("T")


def _nothing() -> None:
    """Nobody wants to know."""


class Exchange:
    """Sends requests to one service. Raises ServiceError, and nothing of httpx."""

    def __init__(
        self, http: httpx.AsyncClient, breaker: CircuitBreaker, *, patience: float
    ) -> None:
        """`patience`: seconds of the pauses between the tries of one call, together, and those
        that the answer to an upload may take from its last byte on.
        """
        self._http = http
        self._breaker = breaker
        self._patience = patience
        self._key = http.headers.get("Authorization", "").removeprefix("Bearer ")

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
        body = await self._attempts(lambda: once(request), request, within, policy)
        try:
            return parse(json.loads(body))
        except (ValueError, RecursionError, wire.MalformedDocument) as error:
            reason = without_secret(str(error), self._key)
            answer = f"the answer is not what the API has: {reason}"
            raise BadAnswer(request.tried, answer) from None

    async def headers(self, request: Request, *, within: float, policy: Retries) -> httpx.Headers:
        """The headers of a success."""

        async def once() -> httpx.Headers:
            async with self._answer(request) as response:
                with translated(request.tried):
                    await response.aread()  # there is none, but only then is the connection free
                return response.headers

        return await self._attempts(once, request, within, policy)

    async def begin(self, request: Request, *, within: float, policy: Retries) -> httpx.Response:
        """A success whose body is still to come; the caller closes it."""
        return await self._attempts(lambda: self._begin(request), request, within, policy)

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
            await response.aclose()

    async def _begin(self, request: Request, sent: Callable[[], None] = _nothing) -> httpx.Response:
        """The beginning of a 2xx answer. Raises the meaning of any other."""
        response = await self._send(request, sent)
        if response.is_success:
            return response
        try:
            raise await self._refusal(request, response)
        finally:
            await response.aclose()

    async def _send(self, request: Request, sent: Callable[[], None]) -> httpx.Response:
        body = request.upload.body(sent) if request.upload else None
        response = None
        try:
            with translated(request.tried):
                response = await self._http.send(self._build(request, body), stream=True)
            self._breaker.answered(request.call)
            sent()  # an answer may come before the end
            if body is not None and response.is_success and not body.exhausted:
                await response.aclose()
                raise ConnectionBroken(request.tried, "success was told before all was sent")
            return response
        finally:
            if body is not None:
                await self._close(body, response)

    @staticmethod
    async def _close(body: UploadBody, response: httpx.Response | None) -> None:
        """Close what was sent; where that is cancelled, nobody will read what came back."""
        try:
            await body.aclose()
        except BaseException:
            if response is not None:
                await response.aclose()
            raise

    def _build(self, request: Request, body: UploadBody | None) -> httpx.Request:
        url = httpx.URL(f"{str(self._http.base_url).rstrip('/')}{request.path}")
        built = self._http.build_request(
            request.method, url, params=request.params or None, headers=dict(request.headers)
        )
        if body is not None:
            del built.headers["Content-Length"]  # that of no body
            built.headers.update(body.headers())
            built.stream = body
        return built

    async def _refusal(self, request: Request, response: httpx.Response) -> ServiceError:
        code = response.status_code
        if response.has_redirect_location:
            host = shown(_host(response.headers["Location"]), self._key)
            answer = f"it redirects to {host or 'another path'}, which is never followed"
        else:
            answer = f"{code} {shown(await _message(response), self._key)}".strip()
        if code in (401, 403) and not self._key:
            answer += " (no API key was given)"
        error = answers.meaning(request.call, code)(request.tried, answer)
        error.retry_after = _retry_after(response.headers.get("Retry-After"))
        error.code = code
        return error

    async def _attempts(
        self,
        once: Callable[[], Awaitable[T]],
        request: Request,
        within: float | None,
        policy: Retries | None,
    ) -> T:
        """Call `once`, again where the policy says so, until it succeeds or time is up."""
        with self.counted(request):
            return await self._tries(once, request.tried, within, policy)
        raise AssertionError("unreachable")

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

    async def _tries(
        self,
        once: Callable[[], Awaitable[T]],
        tried: str,
        within: float | None,
        policy: Retries | None,
    ) -> T:
        deadline = trio.current_time() + (float("inf") if within is None else within)
        tries, paused = 0, 0.0
        while True:
            try:
                with trio.fail_at(deadline):
                    return await once()
            except trio.TooSlowError:
                seconds = self._patience if within is None else within
                raise NoAnswer(tried, f"no answer within {seconds:g} s") from None
            except ServiceError as error:
                tries += 1
                pause = None if policy is None else policy.pause(error, tries)
                if pause is None or trio.current_time() + pause >= deadline:
                    raise
                paused += pause
                if paused > self._patience:  # an upload has no deadline of its own
                    raise
            await trio.sleep(pause)


async def _message(response: httpx.Response) -> str:
    """What the service says; its reason phrase where it says nothing."""
    body = b""
    with translated("an error's text"):
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LARGEST_DOCUMENT:
                break
    try:
        return str(json.loads(body)["errorMessage"])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return response.reason_phrase


def _host(location: str) -> str:
    """The host of a redirect: the rest of it may be as secret as the request was."""
    try:
        return urlsplit(location).hostname or ""
    except ValueError:
        return ""


def shown(text: str, secret: str) -> str:
    """Text of the service as an error may show it: printable, short, without the key."""
    text = "".join(c if c.isprintable() else " " for c in without_secret(text, secret))
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def without_secret(text: str, secret: str) -> str:
    """The text without a key that the service sent back; a host's name comes in small letters."""
    if not secret:
        return text
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    anyone = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.sub(anyone, "…", text, flags=re.IGNORECASE)


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, given as a number or a date; None where nothing useful is said."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
