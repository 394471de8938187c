"""Who may ask for what: from a request's Authorization header to its caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pifopfs.server.callers import MASTER, Caller
from pifopfs.server.keys import Keys
from pifopfs.server.refusals import KeyNeeded, Unknown


class Gate(Protocol):
    """Admits requests."""

    keys: Keys | None
    """None where there are none to be managed."""

    def header(self, authorization: str | None) -> str | None:
        """The key in a header, None where none is needed. Raises KeyNeeded."""

    def caller(self, key: str | None, author: str, function: str) -> Caller:
        """Who holds a key of a function that exists. Raises KeyNeeded."""


def admit(
    gate: Gate, exists: Callable[[str, str], bool], authorization: str | None, name: tuple[str, str]
) -> Caller:
    """Who asks about the function of this author and id. Raises KeyNeeded, Unknown.

    Only with a key at all one is told whether there is such a function.
    """
    key = gate.header(authorization)
    if key is not None and not exists(*name):
        raise Unknown(f"there is no function {'/'.join(name)}")
    return gate.caller(key, *name)


class OwnUser:
    """Everybody who can reach the socket is the server's own user, and there are no keys."""

    keys: Keys | None = None

    def header(self, authorization: str | None) -> str | None:
        return None

    def caller(self, key: str | None, author: str, function: str) -> Caller:
        return MASTER


class KeyGate:
    """Keys count."""

    def __init__(self, keys: Keys, *, trusted: bool) -> None:
        """`trusted`: only the server's own user can ask, who needs no key, but may give one."""
        self.keys: Keys | None = keys
        self._held = keys
        self._trusted = trusted

    def header(self, authorization: str | None) -> str | None:
        if authorization is None and self._trusted:
            return None
        scheme, _, key = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise KeyNeeded("an API key is needed: send the header Authorization: Bearer KEY")
        return key.strip()

    def caller(self, key: str | None, author: str, function: str) -> Caller:
        if key is None:
            return MASTER
        found = self._held.caller(author, function, key)
        if found is None:
            raise KeyNeeded(f"this is not a key of {author}/{function}")
        return found
