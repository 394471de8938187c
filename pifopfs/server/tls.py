"""Certificates: the operator's, or one for this machine's own clients that the server makes."""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pifopfs.errors import OptionInvalid
from pifopfs.machine import private_folder

log = logging.getLogger(__name__)

NAME = "localhost"
ADDRESSES = ("127.0.0.1", "::1")
VALID = timedelta(days=825)
"""What Apple's systems take at most."""
RENEWED = timedelta(days=30)
"""How long before its end a certificate is made anew."""
CLOCKS = timedelta(days=1)
"""How far a client's clock may be behind."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its private key, in PEM."""

    certificate: Path
    key: Path
    own: bool = False
    """The server has made it, so that clients must be told to trust it."""

    def context(self) -> ssl.SSLContext:
        """What connections are made with. Raises OptionInvalid."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        for option, path in (("--tls-cert", self.certificate), ("--tls-key", self.key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise OptionInvalid(f"{option}: {path}: {error.strerror}") from None
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise OptionInvalid(
                f"--tls-cert {self.certificate} and --tls-key {self.key} are not a certificate in "
                f"PEM and its key without a password ({getattr(error, 'reason', None) or error})"
            ) from None
        return context

    def name(self) -> str | None:
        """The first host that it is for, by name; None where it tells none. Raises OSError."""
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (ValueError, x509.ExtensionNotFound):
            return None
        hosts = names.value.get_values_for_type(x509.DNSName)
        return next((host for host in hosts if "*" not in host), None)


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError("the key has a password")


def own_certificate(folder: Path) -> Certificate:
    """A certificate for this machine's own clients; made where there is none that is still good.

    Raises OSError, SetupError.
    """
    private_folder(folder)
    own = Certificate(folder / "cert.pem", folder / "key.pem", own=True)
    if not _is_good(own):
        _make(own)
        log.info("made the certificate %s", own.certificate)
    return own


def _is_good(own: Certificate) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(own.certificate.read_bytes())
        key = load_pem_private_key(own.key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return False
    now = datetime.now(UTC)
    valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc - RENEWED
    return valid and certificate.public_key() == key.public_key()


def _make(own: Certificate) -> None:
    """The key is there first: a certificate without its key is not good."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    names: list[x509.GeneralName] = [x509.DNSName(NAME)]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS)
        .not_valid_after(now - CLOCKS + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(own.key, pem)
    _write(own.certificate, certificate.public_bytes(Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    """Readable for this user only, and never half there."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    new.replace(path)
