"""What doctor says of a service, its certificate, the key and the function."""

from __future__ import annotations

import selectors
import socket
import socketserver
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import trustme

from pifopfs.doctor.table import CHECKS
from tests.doctor.rig import Told, doctor
from tests.fakeservice import FakeService, Handler, HttpsService, Server, hang, refuse

CHECKS_OF_IT = ",".join(check.name for check in CHECKS if check.asks)
KEY = "very-secret-key"
NOW = datetime.now(UTC)


class AnotherTime(FakeService):
    """A service whose clock is wrong, or that tells none."""

    def __init__(self, socket: Path, ahead: float | None) -> None:
        super().__init__(socket)
        self._ahead = ahead

    def _listen(self, handler: type[Handler]) -> Server:
        ahead = self._ahead

        def told(_: Handler, timestamp: float | None = None) -> str:
            return "" if ahead is None else formatdate(time.time() + ahead, usegmt=True)

        return super()._listen(type("AnotherTime", (handler,), {"date_time_string": told}))


def asked(root: Path, service: FakeService | str, *more: str, **how: Any) -> Told:
    """The checks of a service, or of the endpoint, alone."""
    endpoint = service if isinstance(service, str) else service.endpoint
    return doctor(root, "joe/tsp", "--endpoint", endpoint, *more, **{"check": CHECKS_OF_IT} | how)


@pytest.fixture
def key_file(root: Path) -> str:
    path = root / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return str(path)


# ── The clock ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ahead", "state", "words"),
    [
        (0, "ok", ["agrees"]),
        (3600, "warning", ["s behind the service's", "timedatectl"]),
        (-30, "warning", ["s ahead of the service's"]),
        (None, "skipped", ["did not tell"]),
    ],
)
def test_the_clock(root: Path, ahead: float | None, state: str, words: list[str]) -> None:
    with AnotherTime(root / "t.sock", ahead) as service:
        told = asked(root, service, check="clock")
    told.says("clock", state, *words)
    assert told.code == 0


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def authority(root: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(root / "ca.pem")
    return made


def https(root: Path, authority: trustme.CA, name: str, days: float) -> HttpsService:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = NOW + timedelta(days=days)
    since = min(NOW, until) - timedelta(days=2)
    authority.issue_cert(name, not_before=since, not_after=until).configure_cert(context)
    return HttpsService(root / "unused", context)


@pytest.mark.parametrize(
    ("name", "days", "state", "words"),
    [
        ("localhost", 100, "ok", ["valid until"]),
        ("localhost", 3, "warning", ["ends in 2 days", "renew"]),
        ("localhost", -1, "problem", ["certificate has expired", "its operator has to renew it"]),
        ("elsewhere", 100, "problem", ["ostname mismatch", "--endpoint"]),
    ],
)
def test_a_certificate(
    root: Path, authority: trustme.CA, name: str, days: float, state: str, words: list[str]
) -> None:
    with https(root, authority, name, days) as service:
        told = asked(root, service, "--ca-file", str(root / "ca.pem"))
    told.says("tls", state, *words)
    if state == "problem":
        told.says("service", "skipped")
        told.says("key", "skipped")
        told.says("function", "skipped")
    else:
        told.says("dns", "ok", "localhost is", "127.0.0.1")
        told.says("proxy", "ok", "without a proxy")
        told.says("service", "ok", "answers")
    assert told.code == (9 if state == "problem" else 0)


def test_an_authority_that_is_not_known(root: Path, authority: trustme.CA) -> None:
    with https(root, authority, "localhost", 100) as service:
        told = asked(root, service, check="tls")
    told.says("tls", "problem", "unable to get local issuer certificate", "--ca-file")


def test_a_ca_file_that_is_none(root: Path) -> None:
    (root / "ca.pem").write_text("nothing")
    told = asked(root, "https://localhost:1", "--ca-file", str(root / "ca.pem"))
    told.says("configuration", "problem", "ca.pem cannot be used")
    told.says("tls", "skipped", "its configuration is not right")


# ── The way there ─────────────────────────────────────────────────────────────────────────────


def test_a_name_that_is_none(root: Path) -> None:
    told = asked(root, "https://no-such-host.invalid")
    told.says("dns", "problem", "no-such-host.invalid cannot be looked up", "getent hosts")
    told.says("service", "skipped")
    assert told.code == 9


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_nobody_listens(root: Path, host: str) -> None:
    told = asked(root, f"https://{host}:1")
    told.says("dns", "ok" if host == "localhost" else "skipped")
    told.says("service", "problem", "connection refused", "down")
    told.says("tls", "skipped")


def test_a_service_that_never_answers(root: Path, service: FakeService) -> None:
    release = threading.Event()
    service.fault("function", hang(release))
    told = asked(root, service, check="service", env={"PIFOPFS_STALL": "1", "PIFOPFS_TOTAL": "2"})
    release.set()
    told.says("service", "problem", "no answer")


def test_a_service_that_is_none(root: Path, service: FakeService) -> None:
    service.fault("function", refuse(418, "a teapot"))
    asked(root, service, check="service").says("service", "problem", "a teapot", "endpoint")


class Tunnels(socketserver.ThreadingTCPServer):
    """An HTTP proxy that knows CONNECT only."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)

    def __enter__(self) -> Tunnels:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class Tunnel(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        host, _, port = self.rfile.readline().split()[1].decode().rpartition(":")
        while self.rfile.readline().strip():
            pass
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            _pump(self.connection, there)


def _pump(one: socket.socket, other: socket.socket) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select(20):
                piece = key.fileobj.recv(65536)  # type: ignore[union-attr]
                if not piece:
                    return
                key.data.sendall(piece)


def test_a_proxy_that_works(root: Path, authority: trustme.CA) -> None:
    with https(root, authority, "localhost", 3) as service, Tunnels() as proxy:
        address = f"http://127.0.0.1:{proxy.server_address[1]}"
        env = {"HTTPS_PROXY": address}
        told = asked(root, service, "--ca-file", str(root / "ca.pem"), env=env)
    told.says("proxy", "ok", address)
    told.says("dns", "skipped", "the proxy")
    told.says("tls", "warning", "ends in 2 days")
    told.says("function", "ok")


def test_a_proxy_that_does_not_answer(root: Path) -> None:
    env = {"https_proxy": "http://joe:hunter2@127.0.0.1:1"}
    told = asked(root, "https://localhost:1", env=env)
    told.says("proxy", "problem", "http://127.0.0.1:1", "no_proxy")
    assert "hunter2" not in str(told.document)


# ── The key and the function ──────────────────────────────────────────────────────────────────


def test_all_is_well(root: Path, service: FakeService, key_file: str) -> None:
    told = asked(root, service, "--api-key-file", key_file)
    told.says("key", "ok", "takes the key")
    told.says("function", "ok", "joe/tsp is there")
    told.says("service", "ok")
    told.says("configuration", "ok")
    assert told.code == 0
    assert KEY not in str(told.document)
    assert service.keys == [f"Bearer {KEY}"]


def test_a_service_that_asks_for_no_key(root: Path, service: FakeService) -> None:
    asked(root, service, check="key").says("key", "ok", "asks for no key")


def test_a_key_that_is_refused(root: Path, service: FakeService, key_file: str) -> None:
    service.fault("function", refuse(401, f"no such key: {KEY}"))
    told = asked(root, service, "--api-key-file", key_file)
    told.says("key", "problem", "refuses the key", "belongs to one function")
    told.says("function", "skipped")
    told.says("service", "ok")
    assert KEY not in str(told.document)
    assert told.code == 9


def test_no_key_where_one_is_needed(root: Path, service: FakeService) -> None:
    service.fault("function", refuse(401))
    told = asked(root, service, check="key")
    told.says("key", "problem", "there is no key", "--api-key-file")


def test_a_key_file_that_is_missing(root: Path, service: FakeService) -> None:
    told = asked(root, service, "--api-key-file", str(root / "nowhere"), check="key,state-folder")
    told.says("key", "problem", f"{root}/nowhere", "No such file")
    told.says("state-folder", "ok")


def test_a_key_file_that_others_can_read(root: Path, service: FakeService, key_file: str) -> None:
    Path(key_file).chmod(0o644)
    told = asked(root, service, "--api-key-file", key_file)
    told.says("key", "problem", key_file, "chmod 600")
    assert KEY not in str(told.document)


def test_a_function_that_is_unknown(root: Path, service: FakeService, key_file: str) -> None:
    service.fault("function", refuse(404, "no function"))
    told = asked(root, service, "--api-key-file", key_file)
    told.says("function", "problem", "has no function joe/tsp", "AUTHOR/ID")
    told.says("service", "ok")


def test_a_variable_that_means_nothing(root: Path) -> None:
    told = doctor(root, env={"PIFOPFS_STALL": "soon"}, check="configuration")
    told.says("configuration", "problem", "PIFOPFS_STALL is 'soon'", "above 0")
    assert told.code == 9


def test_an_endpoint_that_is_none(root: Path) -> None:
    told = asked(root, "http://example.com")
    told.says("configuration", "problem", "http://example.com", "https://")


def test_without_a_function_no_service_is_asked(root: Path, service: FakeService) -> None:
    told = doctor(root, "--endpoint", service.endpoint)
    checks = {each["check"] for each in told.document["findings"]}
    assert not checks & {"dns", "tls", "clock", "key", "function", "service", "proxy"}
    assert service.requests == []
