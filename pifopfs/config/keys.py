"""Where the API key of a function comes from. It is not read yet: that may wait for the user.

The first of these that is there counts:

    1  --api-key-file
    2  PIFOPFS_API_KEY_FILE
    3  PIFOPFS_API_KEY
    4  systemd's credential `pifopfs-key.AUTHOR@ID`, then `pifopfs-key`
    5  api_key_file of the function's section in the user's file
    6  what `pifopfs login` has stored for the function at this endpoint
    7  api_key_file for all functions in the user's file
    8  api_key_file in the system's file
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pifopfs.api import ApiKey, Endpoint, KeyFile, KeySource
from pifopfs.api.credentials import VARIABLE
from pifopfs.config import stored
from pifopfs.config.kinds import is_there
from pifopfs.config.values import Origin, Source, Value, Values

CREDENTIALS = "CREDENTIALS_DIRECTORY"
CREDENTIAL = "pifopfs-key"

Key = ApiKey | KeySource


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key is."""

    where: str
    """For people: a path, a keyring, a variable."""
    origin: Origin
    read: Callable[[], Key] = field(repr=False)
    """Raises CredentialsInvalid."""


def find_key(
    function: str | None, endpoint: Endpoint, values: Values, environ: Mapping[str, str]
) -> Place | None:
    """Where the key of `author/id` is, or of a function for which none is its own; None where there
    is none.
    """
    file = values["api_key_file"]
    source = file.origin.source
    if source in (Source.FLAG, Source.ENVIRONMENT):
        return _in_file(file, environ)
    if VARIABLE in environ:
        origin = Origin(Source.ENVIRONMENT, VARIABLE)
        return Place(f"the variable {VARIABLE}", origin, partial(_in_variable, environ))
    if (credential := _credential(function, environ)) is not None:
        return credential
    if source is Source.USER_FILE and file.origin.section:
        return _in_file(file, environ)
    if function is not None and (login := stored.find(function, endpoint)) is not None:
        return Place(str(login), Origin(Source.LOGIN, "pifopfs login"), login.read)
    return None if source is Source.DEFAULT else _in_file(file, environ)


def _in_file(file: Value, environ: Mapping[str, str]) -> Place:
    path: Path = file.value
    guarded = _of_systemd(path, environ)
    return Place(str(path), file.origin, partial(KeyFile, path, guarded=guarded))


def _in_variable(environ: Mapping[str, str]) -> ApiKey:
    key = ApiKey.from_environment(environ)
    assert key is not None  # noqa: S101  # it was there
    return key


def _credential(function: str | None, environ: Mapping[str, str]) -> Place | None:
    """A file that systemd has put there for this unit, for this function or any."""
    if not environ.get(CREDENTIALS):
        return None
    own = [] if function is None else [f"{CREDENTIAL}.{function.replace('/', '@')}"]
    for name in (*own, CREDENTIAL):
        path = Path(environ[CREDENTIALS], name)
        if _holds_something(path):
            origin = Origin(Source.ENVIRONMENT, f"the credential {name}")
            return Place(str(path), origin, partial(KeyFile, path, guarded=True))
    return None


def _holds_something(path: Path) -> bool:
    """It is there, and not empty, as a unit's is for which no key was set."""
    try:
        return is_there(path) and path.read_bytes().strip() != b""
    except OSError:  # as whoever reads it will be told
        return True


def _of_systemd(path: Path, environ: Mapping[str, str]) -> bool:
    """systemd lets nobody else come near, whatever the modes of the files say."""
    folder = environ.get(CREDENTIALS, "")
    return folder != "" and path.is_relative_to(folder)
