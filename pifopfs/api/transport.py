"""httpx, and its failures in the words of the error tree.

The only module that knows httpx's exceptions. Nothing is followed or guessed here: no redirects,
no retries; proxies from the environment only where TLS keeps the key from them.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpcore
import httpx

from pifopfs import __version__, errors
from pifopfs.api.deadlines import Deadlines
from pifopfs.api.endpoint import Endpoint
from pifopfs.api.pool import Transport
from pifopfs.api.proxies import find_proxy

KEEPALIVE = 3.0
"""Seconds an idle connection is kept: less than servers do, or a request could meet its end."""
CONNECTIONS = 100


def make_client(
    endpoint: Endpoint, ca_file: Path | None, deadlines: Deadlines
) -> httpx.AsyncClient:
    """A client for one service. Raises EndpointInvalid for a CA file or proxy that is none."""
    headers = {"User-Agent": f"pifopfs/{__version__}", "Accept-Encoding": "identity"}
    limits = httpx.Limits(
        max_connections=CONNECTIONS,
        max_keepalive_connections=CONNECTIONS,
        keepalive_expiry=KEEPALIVE,
    )
    transport = Transport(
        verify=_tls(ca_file) if endpoint.encrypted else False,
        trust_env=False,
        limits=limits,
        uds=None if endpoint.socket is None else str(endpoint.socket),
        proxy=find_proxy(endpoint),
    )
    return httpx.AsyncClient(
        base_url=endpoint.base_url,
        headers=headers,
        timeout=httpx.Timeout(deadlines.stall, connect=deadlines.connect, pool=deadlines.total),
        transport=transport,
        trust_env=False,
        follow_redirects=False,
    )


def connections_of(http: httpx.AsyncClient) -> list[str]:
    """Those of a client that `make_client` made, a line each."""
    transport = http._transport
    assert isinstance(transport, Transport)  # noqa: S101  # it was given this one
    return transport.connections()


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """With the certificates of the CA file, or of SSL_CERT_FILE or SSL_CERT_DIR, or the usual."""
    try:
        if ca_file is None:
            return httpx.create_ssl_context()
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:  # ssl.SSLError is one
        name = f"the CA file {ca_file}"
        if ca_file is None:
            name = f"the CA file {os.environ.get('SSL_CERT_FILE')} of the variable SSL_CERT_FILE"
        reason = error.strerror or error
        raise errors.EndpointInvalid(f"{name} cannot be used: {reason}") from error


@contextmanager
def translated(tried: str) -> Iterator[None]:
    """Raise a ServiceError for a failure of httpx; `tried` says what was asked."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise errors.ConnectTimedOut(tried, "no connection in time") from error
    except httpx.PoolTimeout as error:
        raise errors.NoConnectionFree(tried, "all connections are in use") from error
    except (httpx.TimeoutException, httpcore.TimeoutException) as error:
        raise errors.NoAnswer(tried, "no answer in time") from error
    except httpx.ConnectError as error:
        raise _not_connected(tried, error) from error
    except (httpx.RemoteProtocolError, httpx.NetworkError, httpcore.NetworkError) as error:
        if _cause(error, ssl.SSLError) is not None:
            raise errors.ConnectionBroken(tried, f"TLS failed: {error}") from error
        what = str(error).partition(":")[0]  # what follows is the service's bytes: a key, maybe
        raise errors.ConnectionBroken(tried, f"the connection broke: {what}") from error
    except (httpx.DecodingError, httpx.TooManyRedirects) as error:
        raise errors.BadAnswer(tried, f"the answer cannot be read: {error}") from error
    except httpx.ProxyError as error:
        raise errors.Unreachable(tried, f"the proxy refused: {error}") from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise errors.BadAnswer(tried, f"{type(error).__name__}: {error}") from error


def _not_connected(tried: str, error: httpx.ConnectError) -> errors.NotSent:
    tls = _cause(error, ssl.SSLError)
    if tls is not None:
        reason = getattr(tls, "verify_message", None) or getattr(tls, "reason", None) or tls
        return errors.TlsFailure(tried, f"TLS failed: {reason}")
    if _cause(error, ConnectionRefusedError) is not None:
        return errors.ConnectionRefused(tried, "connection refused")
    name = _cause(error, socket.gaierror)
    reason = name or _cause(error, OSError) or error
    text = getattr(reason, "strerror", None) or str(reason)
    return errors.Unreachable(tried, f"the service cannot be reached: {text}")


def _cause(error: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    """The first exception of `kind` behind `error`."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, kind):
            return current
        if isinstance(current, BaseExceptionGroup):
            pending.extend(current.exceptions)
        pending += [current.__cause__, current.__context__]
    return None
