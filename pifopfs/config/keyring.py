"""The desktop's keyring. Keys are read by a process of their own: a mount is not to hold what that
loads, nor to hang where the keyring does.
"""

from __future__ import annotations

import subprocess
import sys

from pifopfs.api import ApiKey, Endpoint
from pifopfs.errors import CredentialsInvalid, SetupError

PATIENCE = 60.0
"""Seconds for the keyring to answer: it may ask the user for a password."""
SAFE = 1.0
"""The least priority of a keyring that counts as safe: below are files of plain text."""


def service(endpoint: Endpoint) -> str:
    """Under which name keys for an endpoint are kept."""
    return f"pifopfs {endpoint}"


def is_usable() -> bool:
    """Whether there is one that keys can be put in."""
    try:
        import keyring  # it looks for them all
        from keyring.backend import KeyringBackend
    except ImportError:  # as where a distribution only recommends it
        return False
    backend = keyring.get_keyring()
    assert isinstance(backend, KeyringBackend)  # noqa: S101  # as documented
    return bool(backend.priority >= SAFE)


def put(service: str, function: str, key: ApiKey) -> None:
    """Store a key. Raises SetupError."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(service, function, key.reveal())
    except KeyringError as error:
        raise _refused("does not take the key", error, ", or use --file") from error


def remove(service: str, function: str) -> None:
    """One that is not there any more is well removed. Raises SetupError."""
    import keyring
    from keyring.errors import KeyringError

    try:
        if keyring.get_password(service, function) is not None:
            keyring.delete_password(service, function)
    except KeyringError as error:
        raise _refused("does not remove the key", error, "") from error


def get(service: str, function: str) -> ApiKey:
    """Raises CredentialsInvalid."""
    command = [sys.executable, "-P", "-m", "keyring", "get", service, function]
    mend = f"unlock it, or store the key anew: pifopfs login {function}"
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise CredentialsInvalid(
            f"the desktop's keyring did not answer within {PATIENCE:g} s; {mend}"
        ) from None
    if result.returncode != 0:
        why = result.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CredentialsInvalid(
            f"the desktop's keyring does not give the key of {function}"
            f"{f' ({why})' if why else ''}; {mend}"
        )
    text = result.stdout.decode("ascii", errors="replace").strip()
    return ApiKey(text, f"the key of {function} in the desktop's keyring")


def _refused(what: str, error: Exception, more: str) -> SetupError:
    reason = str(error) or type(error).__name__
    return SetupError(f"the desktop's keyring {what} ({reason}); unlock it and try again{more}")
