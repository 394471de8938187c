"""Endpoints, proxies and certificates that cannot be used are told of before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from pifopfs.api import Endpoint, FunctionClient
from pifopfs.api.proxies import VARIABLES, find_proxy
from pifopfs.errors import EndpointInvalid

SERVICE = Endpoint.parse("https://func.example")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "host",
    ["a..b", ".a", "xn--", "☃..", "a" * 300, ".".join(["a" * 60] * 5), "a" * 64 + ".example",
     "a\x01b", "[::1"],
)  # fmt: skip
def test_a_host_that_cannot_be_looked_up(host: str) -> None:
    with pytest.raises(EndpointInvalid):
        Endpoint.parse(f"https://{host}")


@pytest.mark.parametrize(
    "host", ["func.pifop.com", "a.", "a_b", "[::1]:8443", "127.0.0.1:1", "münchen.example", "A.B"]
)
def test_a_host_that_can(host: str) -> None:
    endpoint = Endpoint.parse(f"https://{host}")
    assert str(endpoint) == f"https://{host.lower()}"
    FunctionClient("joe/tsp", endpoint=endpoint)


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize(
    "value",
    ["socks5://joe:s3cret@host:1080", "ftp://joe:s3cret@foo", "http://", "http://[", "http://a:b"],
)
def test_a_proxy_that_cannot_be_used_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(EndpointInvalid, match=name) as raised:
        FunctionClient("joe/tsp", endpoint=SERVICE)
    assert "s3cret" not in str(raised.value)


def test_the_proxy_of_the_environment_is_used_but_not_without_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://other:1")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    proxy = find_proxy(SERVICE)
    assert proxy is not None
    assert str(proxy.url) == "http://proxy:3128"
    assert find_proxy(Endpoint.parse("unix:/s.sock")) is None
    assert find_proxy(Endpoint.parse("http://127.0.0.1", allow_plain_http=True)) is None
    monkeypatch.setenv("no_proxy", "localhost,.example")
    assert find_proxy(SERVICE) is None


def test_a_certificate_file_of_the_environment_that_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    for path in (tmp_path / "none.pem", tmp_path / "nowhere.pem", tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        with pytest.raises(EndpointInvalid, match="SSL_CERT_FILE") as raised:
            FunctionClient("joe/tsp", endpoint=SERVICE)
        assert str(path) in str(raised.value)
