"""One request and its answer: deadlines, retries, and errors by the table of `answers`.

What the endpoints are is in `client`; what a 404 or 409 hides is looked into there, too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
import trio

from pifopfs import wire
from pifopfs.api import answers
from pifopfs.api.answers import Call
from pifopfs.api.bodies import Upload, UploadBody
from pifopfs.api.retries import Retries
from pifopfs.api.transport import translated
from pifopfs.errors import BadAnswer, NoAnswer, ServiceError

LARGEST_DOCUMENT = 4 << 20
LARGEST_LOG = 256 << 20
LONGEST_MESSAGE = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and what its errors say was tried."""

    call: Call
    method: str
    path: str
    """Percent-encoded, from the endpoint on."""
    subject: str
    params: Mapping[str, str | float] = field(default_factory=dict)
    upload: Upload | None = None
    largest: int = LARGEST_DOCUMENT
    """Bytes of the longest answer that is read."""

    @property
    def tried(self) -> str:
        return f"{self.call} {self.subject}"


class Exchange:
    """Sends requests to one service. Raises ServiceError, and nothing of httpx."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._has_key = "Authorization" in http.headers

    async def document(
        self,
        request: Request,
        parse: Callable[[object], T],
        *,
        within: float | None,
        policy: Retries | None = None,
    ) -> T:
        """The JSON document of a success. `within`: seconds for all tries together."""
        body = await _attempts(lambda: self._body(request), request.tried, within, policy)
        try:
            return parse(json.loads(body))
        except (ValueError, wire.MalformedDocument) as error:
            raise BadAnswer(request.tried, f"the answer is not what the API has: {error}") from None

    async def headers(self, request: Request, *, within: float, policy: Retries) -> httpx.Headers:
        """The headers of a success."""

        async def once() -> httpx.Headers:
            async with self._answer(request) as response:
                return response.headers

        return await _attempts(once, request.tried, within, policy)

    async def begin(self, request: Request, *, within: float, policy: Retries) -> httpx.Response:
        """A success whose body is still to come; the caller closes it."""
        return await _attempts(lambda: self._begin(request), request.tried, within, policy)

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async with self._answer(request) as response:
            with translated(request.tried):
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > request.largest:
                        raise BadAnswer(
                            request.tried, f"the answer is longer than {request.largest} bytes"
                        )
        return bytes(body)

    @asynccontextmanager
    async def _answer(self, request: Request) -> AsyncIterator[httpx.Response]:
        response = await self._begin(request)
        try:
            yield response
        finally:
            await response.aclose()

    async def _begin(self, request: Request) -> httpx.Response:
        """The beginning of a 2xx answer. Raises the meaning of any other."""
        body = request.upload.body() if request.upload else None
        try:
            with translated(request.tried):
                response = await self._http.send(self._build(request, body), stream=True)
        finally:
            if body is not None:
                await body.aclose()
        if response.is_success:
            return response
        try:
            raise await self._refusal(request, response)
        finally:
            await response.aclose()

    def _build(self, request: Request, body: UploadBody | None) -> httpx.Request:
        url = httpx.URL(f"{str(self._http.base_url).rstrip('/')}{request.path}")
        built = self._http.build_request(request.method, url, params=request.params or None)
        if body is not None:
            del built.headers["Content-Length"]  # that of no body
            built.headers.update(body.headers())
            built.stream = body
        return built

    async def _refusal(self, request: Request, response: httpx.Response) -> ServiceError:
        code = response.status_code
        if response.has_redirect_location:
            host = urlsplit(response.headers["Location"]).netloc or "another path"
            answer = f"it redirects to {host}, which is never followed"
        else:
            answer = f"{code} {await _message(response)}".strip()
        if code in (401, 403) and not self._has_key:
            answer += " (no API key was given)"
        error = answers.meaning(request.call, code)(request.tried, answer)
        error.retry_after = _retry_after(response.headers.get("Retry-After"))
        error.code = code
        return error


async def _attempts(
    once: Callable[[], Awaitable[T]], tried: str, within: float | None, policy: Retries | None
) -> T:
    """Call `once`, again where the policy says so, until it succeeds or time is up."""
    seconds = float("inf") if within is None else within
    deadline = trio.current_time() + seconds
    tries = 0
    while True:
        try:
            with trio.fail_at(deadline):
                return await once()
        except trio.TooSlowError:
            raise NoAnswer(tried, f"no answer within {seconds:g} s") from None
        except ServiceError as error:
            tries += 1
            pause = None if policy is None else policy.pause(error, tries)
            if pause is None or trio.current_time() + pause >= deadline:
                raise
        await trio.sleep(pause)


async def _message(response: httpx.Response) -> str:
    """What the service says, printable and short; its reason phrase where it says nothing."""
    body = b""
    with translated("an error's text"):
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LARGEST_DOCUMENT:
                break
    try:
        text = json.loads(body)["errorMessage"]
    except (ValueError, TypeError, KeyError, IndexError):
        text = response.reason_phrase
    shown = "".join(c if c.isprintable() else " " for c in str(text))
    return shown if len(shown) <= LONGEST_MESSAGE else shown[: LONGEST_MESSAGE - 1] + "…"


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, given as a number or a date; None where nothing useful is said."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
