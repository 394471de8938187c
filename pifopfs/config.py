"""Command line and environment become one frozen, validated configuration: flags go first.

Every deadline and interval can be set through the environment as PIFOPFS_NAME, for the names in
`TUNABLES` in capitals. Nothing here touches the network or the mountpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import platformdirs

from pifopfs.api import DEFAULT_ENDPOINT, ApiKey, Deadlines, Endpoint, FunctionClient
from pifopfs.errors import EndpointInvalid, OptionInvalid
from pifopfs.fuse_options import FuseOptions, parse_options
from pifopfs.machine import BUBBLEWRAP, ISOLATIONS, LOG_LEVELS, short_key
from pifopfs.paths import absolute, find_folder, mountpoint_path
from pifopfs.tree.settings import Settings

PREFIX = "PIFOPFS_"


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of the mount itself, in seconds."""

    shutdown_grace: float = 10.0
    """How long a daemon that was told to end lets uploads finish."""
    watchdog: float = 120.0
    """How long a call may take before the log says where it waits."""
    server_start: float = 20.0
    """How long the embedded server may take to be ready."""
    server_linger: float = 60.0
    """How long a new embedded server outlives its last client and the last run."""


@dataclass(frozen=True, slots=True)
class Config:
    """One mount."""

    function: str | None
    """`author/id`, or None for a folder."""
    folder: Path | None
    """A function's folder, which the embedded server serves."""
    mountpoint: Path
    isolation: str
    """What keeps a folder's programs apart."""
    endpoint: Endpoint
    """Where the service is; for a folder the embedded server says."""
    api_key: ApiKey | None
    ca_file: Path | None
    settings: Settings
    deadlines: Deadlines
    limits: Limits
    options: FuseOptions
    log_level: str
    foreground: bool

    @property
    def log_file(self) -> Path:
        """Where a daemon in the background logs."""
        return self.settings.state_dir / "daemon.log"


TUNABLES: dict[str, type] = {
    **{field.name: Deadlines for field in fields(Deadlines)},
    **{field.name: Settings for field in fields(Settings) if not field.name.endswith("_dir")},
    **{field.name: Limits for field in fields(Limits)},
}
"""Which part of the configuration holds each name."""


def load(  # one parameter for each flag
    target: str,
    mountpoint: Path,
    environ: Mapping[str, str],
    *,
    endpoint: str | None = None,
    allow_plain_http: bool = False,
    api_key_file: Path | None = None,
    ca_file: Path | None = None,
    state_dir: Path | None = None,
    cache_dir: Path | None = None,
    isolation: str | None = None,
    log_level: str | None = None,
    wait_outage: str | None = None,
    options: Iterable[str] = (),
    foreground: bool = False,
) -> Config:
    """The configuration of a mount. Raises SetupError with the mend in the message."""
    folder = find_folder(target)
    given = endpoint or environ.get(f"{PREFIX}ENDPOINT")
    if folder is not None and endpoint is not None:
        raise EndpointInvalid(f"{target} is a folder, run on this machine: leave out --endpoint")
    if folder is None and isolation is not None:
        raise OptionInvalid(f"--isolation is for folders, and {target} is none: leave it out")
    where = Endpoint.parse(given or DEFAULT_ENDPOINT, allow_plain_http=allow_plain_http)
    identity = f"folder {folder}" if folder is not None else f"{where} {target}"
    state = _directory(state_dir, environ, "STATE_DIR", platformdirs.user_state_path("pifopfs"))
    cache = _directory(cache_dir, environ, "CACHE_DIR", platformdirs.user_cache_path("pifopfs"))
    names = state / _part(identity)
    folders = Settings(names, cache / _part(f"{identity} {names}"))  # whoever has these has those
    settings = _tuned(folders, environ)
    if wait_outage is not None:
        seconds = _positive("--wait-outage", wait_outage, whole=False)
        settings = replace(settings, wait_outage=seconds)
    return Config(
        function=target if folder is None else None,
        folder=folder,
        mountpoint=mountpoint_path(mountpoint),
        isolation=find_isolation(isolation, environ) or BUBBLEWRAP,
        endpoint=where,
        api_key=_api_key(api_key_file, environ) if folder is None else None,
        ca_file=_optional_path(ca_file, environ, "CA_FILE"),
        settings=settings,
        deadlines=_tuned(Deadlines(), environ),
        limits=_tuned(Limits(), environ),
        options=parse_options(options),
        log_level=_log_level(log_level, environ),
        foreground=foreground,
    )


def client(
    function: str,
    environ: Mapping[str, str],
    *,
    endpoint: str | None = None,
    allow_plain_http: bool = False,
    api_key_file: Path | None = None,
    ca_file: Path | None = None,
) -> FunctionClient:
    """A client of `author/id`, with the options and variables of a mount. Raises SetupError."""
    given = endpoint or environ.get(f"{PREFIX}ENDPOINT") or DEFAULT_ENDPOINT
    return FunctionClient(
        function,
        endpoint=Endpoint.parse(given, allow_plain_http=allow_plain_http),
        api_key=_api_key(api_key_file, environ),
        ca_file=_optional_path(ca_file, environ, "CA_FILE"),
        deadlines=_tuned(Deadlines(), environ),
    )


def _part(identity: str) -> Path:
    return Path("mounts", short_key(identity.encode("utf-8", "surrogateescape")))


def find_isolation(flag: str | None, environ: Mapping[str, str]) -> str | None:
    """What is asked for, by the flag or the environment. Raises OptionInvalid."""
    kind = flag or environ.get(f"{PREFIX}ISOLATION") or None
    if kind is not None and kind not in ISOLATIONS:
        raise OptionInvalid(f"{PREFIX}ISOLATION is {kind!r}; it is one of {', '.join(ISOLATIONS)}")
    return kind


def _optional_path(flag: Path | None, environ: Mapping[str, str], name: str) -> Path | None:
    if flag is not None:
        return absolute(flag)
    text = environ.get(PREFIX + name)
    return absolute(Path(text)) if text else None


def _directory(flag: Path | None, environ: Mapping[str, str], name: str, default: Path) -> Path:
    return _optional_path(flag, environ, name) or default


def _api_key(flag: Path | None, environ: Mapping[str, str]) -> ApiKey | None:
    path = _optional_path(flag, environ, "API_KEY_FILE")
    return ApiKey.from_file(path) if path is not None else ApiKey.from_environment(environ)


def _log_level(flag: str | None, environ: Mapping[str, str]) -> str:
    level = flag or environ.get(f"{PREFIX}LOG_LEVEL") or "info"
    if level.lower() not in LOG_LEVELS:
        raise OptionInvalid(f"{PREFIX}LOG_LEVEL is {level!r}; it is one of {', '.join(LOG_LEVELS)}")
    return level.upper()


def _tuned(part: Any, environ: Mapping[str, str]) -> Any:
    """`part` with the values that the environment sets."""
    changes: dict[str, float | int] = {}
    for name, owner in TUNABLES.items():
        text = environ.get(PREFIX + name.upper())
        if owner is type(part) and text is not None:
            changes[name] = _positive(PREFIX + name.upper(), text, whole=name == "cache_size")
    return replace(part, **changes)


def _positive(name: str, text: str, *, whole: bool) -> float | int:
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        kind = "whole number" if whole else "number"
        raise OptionInvalid(f"{name} is {text!r}; it must be a {kind} above 0")
    return value
