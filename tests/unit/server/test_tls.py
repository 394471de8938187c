"""Certificates, the operator's and the server's own, and the addresses that it listens on."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pifopfs import errors
from pifopfs.server import tcp, tls
from pifopfs.server.site import PORT, Network
from pifopfs.server.tls import Certificate, own_certificate

# ── The server's own ──────────────────────────────────────────────────────────────────────────


def loaded(own: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(own.certificate.read_bytes())


def test_its_own_certificate_is_for_this_machine_alone_and_no_authority(tmp_path: Path) -> None:
    certificate = loaded(own_certificate(tmp_path / "tls"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    addresses = [ip_address("127.0.0.1"), ip_address("::1")]
    assert names.get_values_for_type(x509.IPAddress) == addresses
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now < certificate.not_valid_after_utc
    assert now + timedelta(days=800) < certificate.not_valid_after_utc
    valid = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert valid <= timedelta(days=825)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_its_key_is_for_its_user_alone(tmp_path: Path) -> None:
    own = own_certificate(tmp_path / "tls")
    assert stat.S_IMODE(own.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.key.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in own.key.parent.iterdir()) == ["cert.pem", "key.pem"]


def test_a_certificate_that_is_good_is_kept(tmp_path: Path) -> None:
    own = own_certificate(tmp_path)
    before = (own.certificate.read_bytes(), own.key.read_bytes())
    again = own_certificate(tmp_path)
    assert (again.certificate.read_bytes(), again.key.read_bytes()) == before


def another_key(own: Certificate) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    own.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


DAMAGES: dict[str, Callable[[Certificate], object]] = {
    "no certificate": lambda own: own.certificate.unlink(),
    "no key": lambda own: own.key.unlink(),
    "an empty certificate": lambda own: own.certificate.write_bytes(b""),
    "half a key": lambda own: own.key.write_bytes(own.key.read_bytes()[:100]),
    "no text": lambda own: own.certificate.write_bytes(b"\xff\x00"),
    "the key of another": another_key,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_that_is_damaged_is_made_anew(tmp_path: Path, damage: str) -> None:
    own = own_certificate(tmp_path)
    serial = loaded(own).serial_number
    DAMAGES[damage](own)
    again = own_certificate(tmp_path)
    assert loaded(again).serial_number != serial
    again.context()


@pytest.mark.parametrize(
    ("validity", "kept"),
    [
        (timedelta(days=32), True),
        (timedelta(days=30), False),
        (timedelta(hours=1), False),
    ],
)
def test_one_that_has_ended_or_soon_will_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validity: timedelta, kept: bool
) -> None:
    with monkeypatch.context() as short:
        short.setattr(tls, "VALID", validity)
        short.setattr(tls, "CLOCKS", timedelta(hours=2) if validity < timedelta(days=1) else
                      timedelta(days=1))  # fmt: skip
        first = loaded(own_certificate(tmp_path)).serial_number
    second = loaded(own_certificate(tmp_path)).serial_number
    assert (first == second) is kept


def test_a_clock_that_was_wrong_does_not_leave_a_certificate_of_the_future(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as ahead:
        ahead.setattr(tls, "CLOCKS", timedelta(days=-100))
        own_certificate(tmp_path)
    certificate = loaded(own_certificate(tmp_path))
    assert certificate.not_valid_before_utc < datetime.now(UTC)


# ── The operator's ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def operators(tmp_path: Path) -> Certificate:
    issued = trustme.CA().issue_cert("example.org")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in issued.cert_chain_pems:
        part.write_to_path(tmp_path / "cert.pem", append=True)
    return Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_the_operators_certificate_is_taken_for_tls_1_2_and_later(operators: Certificate) -> None:
    context = operators.context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (("*.example.org", "func.example.org", "x.org"), "func.example.org"),
        (("*.example.org", "192.0.2.1"), None),
    ],
)
def test_the_name_of_a_server_is_what_its_certificate_is_for(
    operators: Certificate, names: tuple[str, ...], name: str | None
) -> None:
    trustme.CA().issue_cert(*names).cert_chain_pems[0].write_to_path(operators.certificate)
    assert operators.name() == name


def locked(operators: Certificate) -> None:
    """Its key gets a password."""
    key = serialization.load_pem_private_key(operators.key.read_bytes(), None)
    operators.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )


MISTAKES: dict[str, tuple[Callable[[Certificate], object], str]] = {
    "no certificate": (lambda own: own.certificate.unlink(), "--tls-cert: .*cert.pem: No such"),
    "no key": (lambda own: own.key.unlink(), "--tls-key: .*key.pem: No such"),
    "the key of another": (another_key, "--tls-cert .*--tls-key .*KEY_"),
    "a key with a password": (locked, "without a password"),
    "no PEM": (lambda own: own.certificate.write_text("x"), "not a certificate in PEM"),
    "swapped": (lambda own: own.certificate.write_bytes(own.key.read_bytes()), "not a certificate"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_certificate_or_key_that_is_not_right_is_named(
    operators: Certificate, mistake: str
) -> None:
    spoil, words = MISTAKES[mistake]
    spoil(operators)
    with pytest.raises(errors.OptionInvalid, match=words):
        Network.of((), None, operators.certificate, operators.key)


# ── Addresses ─────────────────────────────────────────────────────────────────────────────────


def test_by_default_only_this_machine_reaches_the_server() -> None:
    network = Network.of((), None, None, None)
    assert (network.hosts, network.port) == (("127.0.0.1", "::1"), PORT)


def test_an_address_that_its_own_certificate_is_not_for_needs_the_operators(
    operators: Certificate,
) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "127.0.0.2"):
        with pytest.raises(errors.OptionInvalid, match=r"--tls-cert and --tls-key"):
            Network.of((host,), None, None, None)
        network = Network.of((host,), 0, operators.certificate, operators.key)
        assert network.hosts == (host,)


def test_an_address_that_is_named_twice_counts_once() -> None:
    assert Network.of(("::1", "127.0.0.1", "0:0::1"), None, None, None).hosts == (
        "::1",
        "127.0.0.1",
    )


@pytest.mark.parametrize("half", [(Path("c"), None), (None, Path("k"))])
def test_a_certificate_and_its_key_are_given_both(half: tuple[Path | None, Path | None]) -> None:
    with pytest.raises(errors.OptionInvalid, match="give both"):
        Network.of((), None, *half)


def test_a_host_is_an_address() -> None:
    for host in ("example.org", "localhost", "127.1", ""):
        with pytest.raises(errors.OptionInvalid, match="is no IP address"):
            Network.of((host,), None, None, None)


def close(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def test_a_free_port_is_the_same_on_every_address() -> None:
    listeners = tcp.bind(("127.0.0.1", "127.0.0.2", "127.0.0.3"), 0)
    ports = {listener.getsockname()[1] for listener in listeners}
    close(listeners)
    assert len(ports) == 1
    assert ports != {0}


def test_every_address_of_IPv4_and_of_IPv6_can_be_served_side_by_side() -> None:
    listeners = tcp.bind(("0.0.0.0", "::"), 0)
    ports = {listener.getsockname()[1] for listener in listeners}
    close(listeners)
    assert (len(listeners), len(ports)) == (2, 1)


def test_a_port_that_is_free_on_the_first_address_only_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = tcp.bind(("127.0.0.2",), 0)
    port = taken[0].getsockname()[1]
    tried: list[int] = []
    real = tcp._listener

    def listener(host: str, asked: int, optional: bool) -> socket.socket | None:
        asked = port if not tried and host == "127.0.0.1" else asked
        tried.append(asked)
        return real(host, asked, optional)

    monkeypatch.setattr(tcp, "_listener", listener)
    listeners = tcp.bind(("127.0.0.1", "127.0.0.2"), 0)
    assert tried[:2] == [port, port]
    assert {each.getsockname()[1] for each in listeners} == {tried[-1]} != {port}
    close([*taken, *listeners])


def test_a_port_that_is_in_use_is_told_with_the_mend() -> None:
    taken = tcp.bind(("127.0.0.1",), 0)
    port = taken[0].getsockname()[1]
    with pytest.raises(errors.ServerNotStarted, match=f"127.0.0.1, port {port}.*another --port"):
        tcp.bind(("127.0.0.1",), port)
    close(taken)


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_machine_without_IPv6_is_served_on_IPv4_unless_IPv6_was_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    class NoIPv6(socket.socket):
        def __init__(self, family: int, kind: int) -> None:
            if family == socket.AF_INET6 and number == errno.EAFNOSUPPORT:
                raise OSError(number, "no IPv6")
            super().__init__(family, kind)

        def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
            if self.family == socket.AF_INET6:
                raise OSError(number, "no IPv6")
            super().bind(address)

    monkeypatch.setattr(socket, "socket", NoIPv6)
    hosts = ("127.0.0.1", "::1")
    with caplog.at_level(logging.WARNING, "pifopfs"):
        listeners = tcp.bind(hosts, 0, optional=hosts)
    assert [listener.getsockname()[0] for listener in listeners] == ["127.0.0.1"]
    close(listeners)
    (record,) = caplog.records
    assert "::1" in record.getMessage()
    with pytest.raises(errors.ServerNotStarted, match="::1"):
        tcp.bind(hosts, 0)
