"""Requests as values: what is sent, and what their errors say was tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from pifopfs.api.answers import Call
from pifopfs.api.bodies import Upload
from pifopfs.errors import ServiceError

LARGEST_DOCUMENT = 4 << 20
LARGEST_LOG = 256 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and what its errors say was tried."""

    call: Call
    method: str
    path: str
    """Percent-encoded, from the endpoint on."""
    subject: str
    params: Mapping[str, str | float] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    upload: Upload | None = None
    largest: int = LARGEST_DOCUMENT
    """Bytes of the longest answer that is read."""

    @property
    def repeatable(self) -> bool:
        """Whether it can be sent a second time."""
        return self.upload is None or self.upload.repeatable

    @property
    def tried(self) -> str:
        return f"{self.call} {self.subject}"


def without_log(call: Call, method: str, path: str, subject: str, *, wait: float = 0.0) -> Request:
    """A request whose answer is an Execution object, without its log, which may be long.

    A service may send the log all the same: what was done is not to fail for that.
    """
    params: dict[str, str | float] = {"include_log": "false"}
    if wait:
        params["wait"] = wait
    return Request(call, method, path, subject, params=params, largest=LARGEST_LOG)


def segment(text: str, unknown: type[ServiceError], tried: str) -> str:
    """A segment of a path. Raises `unknown` for what cannot be one: httpx would follow dots."""
    if text in ("", ".", ".."):
        raise unknown(tried, f"{text!r} is not a name")
    return quote(text, safe="", errors="surrogateescape")
