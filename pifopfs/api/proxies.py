"""The proxy that the environment names for a service; one that cannot be used is told of early."""

from __future__ import annotations

import os
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import httpx

from pifopfs.api.endpoint import Endpoint
from pifopfs.errors import EndpointInvalid

VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""The first that is set counts."""


def find_proxy(endpoint: Endpoint) -> httpx.Proxy | None:
    """The proxy for a service, None for one without TLS: a proxy would see its key.

    `no_proxy` is heeded. Raises EndpointInvalid for a variable that names no HTTP proxy.
    """
    host = urlsplit(endpoint.base_url).hostname or ""
    if not endpoint.encrypted or proxy_bypass(host):
        return None
    for name in VARIABLES:
        text = os.environ.get(name)
        if text:
            return _proxy(name, text)
    return None


def _proxy(name: str, text: str) -> httpx.Proxy:
    """Its error shows no more than scheme and host: a proxy's address may hold a password."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        if parts.scheme in ("http", "https") and host:
            return httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        raise EndpointInvalid(f"the variable {name} is no proxy's address: mend it") from None
    raise EndpointInvalid(
        f"the variable {name} names the proxy {parts.scheme}://{host or ''}, which cannot be used: "
        "name one of the kind http://HOST:PORT, or put the service into no_proxy"
    )
