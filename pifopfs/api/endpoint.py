"""Where a service is: `https://…`, a Unix socket, or plain HTTP to this machine by choice."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import httpx

from pifopfs.errors import EndpointInvalid

DEFAULT_ENDPOINT = "https://func.pifop.com"
LONGEST_HOST = 253
"""Letters of a host's name (RFC 1035)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service's address. `socket` is set for a Unix socket only."""

    base_url: str
    """Without a slash at its end."""
    socket: Path | None = None

    @property
    def encrypted(self) -> bool:
        """Whether it is reached over TLS."""
        return self.base_url.startswith("https:")

    def __str__(self) -> str:
        return self.base_url if self.socket is None else f"unix:{self.socket}"

    @classmethod
    def parse(cls, text: str, *, allow_plain_http: bool = False) -> Endpoint:
        """Raises EndpointInvalid for what a key may not be sent to, or is no address."""
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path.startswith("/"):
                raise EndpointInvalid(f"{text!r}: write unix:/absolute/path/of/the/socket")
            return cls("http://localhost", Path(path))
        url = _split(text)
        if url.scheme == "http" and not (allow_plain_http and _is_loopback(url.hostname or "")):
            raise EndpointInvalid(
                f"{text}: plain http would show the key to everyone; use https://, unix:/…, or "
                "allow plain http for a loopback address"
            )
        if url.scheme not in ("http", "https"):
            raise EndpointInvalid(f"{text!r}: write https://HOST[:PORT] or unix:/path/of/socket")
        _check_host(text)
        return cls(f"{url.scheme}://{url.netloc.lower()}{url.path.rstrip('/')}")


def _split(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  # raises for a port that is none
    except ValueError as error:
        raise EndpointInvalid(f"{text!r} is not a URL: {error}") from None
    if url.scheme in ("http", "https"):
        if url.username is not None or url.password is not None:
            raise EndpointInvalid(f"the endpoint for {url.hostname} must not hold a user name")
        if not url.hostname or url.query or url.fragment or any(c.isspace() for c in text):
            raise EndpointInvalid(f"{text!r}: write https://HOST[:PORT], without a query")
    return url


def _check_host(text: str) -> None:
    """The host is a name that can be asked for: httpx and the resolver would fail in the middle."""
    try:
        parsed = httpx.URL(text)
        parsed.host.encode()  # it decodes what is punycode
        name = parsed.raw_host.decode("ascii")
        name.encode("idna")  # as the resolver does: it checks the length of every part
    except (httpx.InvalidURL, UnicodeError):
        raise EndpointInvalid(f"{text!r}: the host is no name that can be looked up") from None
    if len(name) > LONGEST_HOST:
        raise EndpointInvalid(f"{text!r}: the host has more than {LONGEST_HOST} letters")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
