"""The service of a function, judged by what its answer to one request told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pifopfs.api.probing import Probe
from pifopfs.doctor.findings import Finding, ok, problem, skipped, warning
from pifopfs.doctor.subject import Subject
from pifopfs.errors import (
    AccessDenied,
    CredentialsInvalid,
    FunctionUnknown,
    ServiceError,
    TlsFailure,
)

CLOCK_OFF = 5.0
"""Seconds beyond which a clock counts as wrong: a service tells whole ones, some time ago."""
SOON = timedelta(days=14)
"""Before its end a certificate should have been renewed."""

TLS_MENDS = {
    "self": "it is its own authority: name its certificate with --ca-file, if you trust it",
    "local issuer": "its authority is not known here: --ca-file, or install ca-certificates",
    "expired": "its operator has to renew it; should this machine's clock be wrong, set that",
    "not yet valid": "set this machine's clock: timedatectl set-ntp true",
    "mismatch": "use the name that the certificate is for, in --endpoint",
}
"""What to do, by a word of OpenSSL's reason."""


def lookup(subject: Subject) -> Iterator[Finding]:
    """The service's name in DNS."""
    told = subject.probe
    if told is None:
        yield from _not_asked(subject)
    elif told.endpoint.socket is not None:
        yield skipped(f"{told.endpoint} has no name to be looked up")
    elif told.proxy is not None:
        yield skipped(f"the proxy {told.proxy} looks the service's name up")
    elif told.lookup_failure:
        yield problem(
            f"{told.host} cannot be looked up: {told.lookup_failure}",
            "check the endpoint's spelling, /etc/resolv.conf and the network: getent hosts "
            f"{told.host}",
        )
    elif told.host:
        yield ok(f"{told.host} is {', '.join(told.addresses)}")
    else:
        yield skipped("the endpoint is an address, which needs no looking up")


def proxy(subject: Subject) -> Iterator[Finding]:
    """The environment's proxy for this service."""
    told = subject.probe
    if told is None:
        yield from _not_asked(subject)
    elif told.proxy is None:
        yield ok("the service is reached without a proxy")
    elif told.connected:
        yield ok(f"the service is reached through the proxy {told.proxy}")
    else:
        yield problem(
            f"the service does not answer through the proxy {told.proxy}",
            "mend the variable https_proxy or all_proxy, or put the service's host into no_proxy",
        )


def answer(subject: Subject) -> Iterator[Finding]:
    """Whether anything answers there, as a service of this kind does."""
    told = subject.probe
    if told is None:
        yield from _not_asked(subject)
    elif told.lookup_failure or isinstance(told.failure, TlsFailure):
        yield skipped("no request could be sent")
    elif told.failure is None or _of_key_or_function(told.failure):
        yield ok(f"{told.endpoint} answers")
    else:
        yield problem(f"{told.endpoint}: {told.failure.answer}", told.failure.advice)


def _of_key_or_function(failure: ServiceError) -> bool:
    return isinstance(failure, AccessDenied | FunctionUnknown)


def tls(subject: Subject) -> Iterator[Finding]:
    """The certificate: whether it was believed, and for how long it will be."""
    told = subject.probe
    if told is None:
        yield from _not_asked(subject)
    elif not told.endpoint.encrypted:
        yield skipped(f"{told.endpoint} is on this machine, and has no TLS")
    elif isinstance(told.failure, TlsFailure):
        mends = (mend for word, mend in TLS_MENDS.items() if word in told.failure.answer)
        yield problem(told.failure.answer, next(mends, told.failure.advice))
    elif told.certificate_ends is None:
        yield skipped("there was no connection with TLS")
    else:
        yield _lasting(told.certificate_ends)


def _lasting(ends: datetime) -> Finding:
    left = ends - datetime.now(UTC)
    if left > SOON:
        return ok(f"the certificate is valid until {ends:%Y-%m-%d}")
    return warning(
        f"the certificate ends in {left.days} days, {ends:%Y-%m-%d %H:%M} UTC",
        "its operator has to renew it before",
    )


def clock(subject: Subject) -> Iterator[Finding]:
    """This machine's against the service's: certificates and `make` go by it."""
    told = subject.probe
    if told is None:
        yield from _not_asked(subject)
    elif told.clock_ahead is None:
        yield skipped("the service did not tell its time")
    elif abs(told.clock_ahead) <= CLOCK_OFF:
        yield ok("the clock agrees with the service's")
    else:
        way = "ahead of" if told.clock_ahead > 0 else "behind"
        yield warning(
            f"the clock is {abs(told.clock_ahead):.0f} s {way} the service's",
            "set it: timedatectl set-ntp true, or install chrony; should it be right, tell the "
            "service's operator",
        )


def key(subject: Subject) -> Iterator[Finding]:
    """Whether there is one where one is needed, and whether the service takes it."""
    told = subject.probe
    if isinstance(subject.failure, CredentialsInvalid):
        text, _, mend = str(subject.failure).partition("; ")
        yield problem(text, mend or "name a file that holds the key alone: --api-key-file")
    elif told is None:
        yield from _not_asked(subject)
    elif isinstance(told.failure, AccessDenied):
        yield _refused(told, told.failure)
    elif not told.connected:
        yield skipped("whether the key is right was not told")
    elif told.authorized:
        yield ok("the service takes the key")
    else:
        yield ok("the service asks for no key")


def _refused(told: Probe, failure: AccessDenied) -> Finding:
    if told.authorized:
        return problem(f"the service refuses the key: {failure.answer}", failure.advice)
    return problem(
        f"there is no key: {failure.answer}",
        "--api-key-file FILE, or one of the variables PIFOPFS_API_KEY_FILE and PIFOPFS_API_KEY",
    )


def function(subject: Subject) -> Iterator[Finding]:
    """Whether the service has it."""
    told = subject.probe
    if told is None:
        yield from _not_asked(subject)
    elif isinstance(told.failure, FunctionUnknown):
        yield problem(f"{told.endpoint} has no function {subject.function}", told.failure.advice)
    elif told.function is None:
        yield skipped("whether the service has the function was not told")
    else:
        yield ok(f"{subject.function} is there")


def _not_asked(subject: Subject) -> Iterator[Finding]:
    if subject.function is not None:
        yield skipped("the service was not asked: its configuration is not right")
