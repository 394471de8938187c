"""A service looked at from here, for those who ask why it cannot be used: one request, and all that
can be learned on its way. Nothing is raised: what fails is what was asked for.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from socket import SOCK_STREAM
from urllib.parse import urlsplit

import httpx
import trio

from pifopfs import errors, wire
from pifopfs.api.client import FunctionClient
from pifopfs.api.endpoint import Endpoint
from pifopfs.api.proxies import find_proxy

HTTPS = 443


@dataclass(slots=True)
class Probe:
    """What was learned of a service; a field is None, or empty, where that was never reached."""

    endpoint: Endpoint
    authorized: bool
    """A key was sent along."""
    proxy: str | None = None
    """The address of the one that the environment names, without a password."""
    host: str = ""
    """The name that was looked up; empty where there is none to be looked up."""
    addresses: list[str] = field(default_factory=list)
    lookup_failure: str = ""
    connected: bool = False
    """There was an answer of some kind."""
    certificate_ends: datetime | None = None
    clock_ahead: float | None = None
    """Seconds by which this machine's clock is ahead of the service's, which tells whole ones."""
    function: wire.Function | None = None
    failure: errors.ServiceError | None = None


async def probe(client: FunctionClient) -> Probe:
    """Ask for the Function object, within the client's deadlines. Raises EndpointInvalid."""
    endpoint: Endpoint = client._service["endpoint"]
    proxy = find_proxy(endpoint)
    told = Probe(endpoint, client._service["api_key"] is not None)
    told.proxy = None if proxy is None else str(proxy.url)
    if endpoint.socket is None and proxy is None:
        await _look_up(told, client._deadlines.connect)
    if not told.lookup_failure:
        await _ask(client, told)
    return told


async def _look_up(told: Probe, within: float) -> None:
    url = urlsplit(told.endpoint.base_url)
    host = url.hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        told.host = host
    else:
        return
    try:
        with trio.fail_after(within):
            found = await trio.socket.getaddrinfo(host, url.port or HTTPS, type=SOCK_STREAM)
    except trio.TooSlowError:
        told.lookup_failure = f"no answer within {within:g} s"
    except OSError as error:  # socket.gaierror is one
        told.lookup_failure = error.strerror or str(error)
    else:
        told.addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))


async def _ask(client: FunctionClient, told: Probe) -> None:
    async def answered(response: httpx.Response) -> None:
        told.connected = True
        told.clock_ahead = _clock_ahead(response.headers.get("Date"), datetime.now(UTC))
        told.certificate_ends = _certificate_ends(response)

    client._http.event_hooks["response"].append(answered)
    try:
        told.function = await client.function()
    except errors.ServiceError as error:
        told.failure = error


def _clock_ahead(date: str | None, now: datetime) -> float | None:
    """Within half a second, should the answer have taken no time."""
    if date is None:
        return None
    try:
        theirs = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    return (now - theirs).total_seconds() - 0.5


def _certificate_ends(response: httpx.Response) -> datetime | None:
    stream = response.extensions.get("network_stream")
    connection = None if stream is None else stream.get_extra_info("ssl_object")
    if not isinstance(connection, ssl.SSLSocket):
        return None
    certificate = connection.getpeercert() or {}
    ends = certificate.get("notAfter")
    if not isinstance(ends, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC)
