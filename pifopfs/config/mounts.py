"""The configuration of a mount, and a client of a service with the same settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pifopfs.api import Deadlines, Endpoint, FunctionClient
from pifopfs.config.keys import Key, Place, find_key
from pifopfs.config.limits import Limits
from pifopfs.config.options import TUNABLES
from pifopfs.config.values import Source, Values, resolve
from pifopfs.errors import EndpointInvalid, OptionInvalid
from pifopfs.fuse_options import FuseOptions, parse_options
from pifopfs.machine import short_key
from pifopfs.paths import find_folder, mountpoint_path
from pifopfs.tree.settings import Settings


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
    engine: str
    """Where they run."""
    engine_options: Mapping[str, str]
    endpoint: Endpoint
    """Where the service is; for a folder the embedded server says."""
    api_key: Key | None
    ca_file: Path | None
    settings: Settings
    deadlines: Deadlines
    limits: Limits
    options: FuseOptions
    log_level: str
    log_format: str
    foreground: bool
    values: Values
    """All that was set, each with where that was."""
    key_place: Place | None
    """Where the key came from."""

    @property
    def log_file(self) -> Path:
        """Where a daemon in the background logs."""
        return self.settings.state_dir / "daemon.log"


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
    engine: str | None = None,
    engine_options: Iterable[str] = (),
    log_level: str | None = None,
    log_format: str | None = None,
    wait_outage: str | None = None,
    options: Iterable[str] = (),
    foreground: bool = False,
) -> Config:
    """The configuration of a mount. Raises SetupError with the mend in the message."""
    folder = find_folder(target)
    if folder is not None and endpoint is not None:
        raise EndpointInvalid(f"{target} is a folder, run on this machine: leave out --endpoint")
    own = {
        "--isolation": isolation is not None,
        "--engine": engine is not None,
        "--engine-option": bool(engine_options),
    }
    for name, given in own.items():
        if folder is None and given:
            raise OptionInvalid(f"{name} is for folders, and {target} is none: leave it out")
    values = look_up(
        target,
        environ,
        endpoint=endpoint,
        allow_plain_http=allow_plain_http,
        api_key_file=api_key_file,
        ca_file=ca_file,
        state_dir=state_dir,
        cache_dir=cache_dir,
        isolation=isolation,
        engine=engine,
        engine_options=tuple(engine_options),
        log_level=log_level,
        log_format=log_format,
        wait_outage=wait_outage,
        options=tuple(options),
    )
    where = find_endpoint(values)
    place = find_key(target, where, values, environ) if folder is None else None
    return Config(
        function=target if folder is None else None,
        folder=folder,
        mountpoint=mountpoint_path(mountpoint),
        isolation=values["isolation"].value,
        engine=values["engine"].value,
        engine_options=values["engine_options"].value,
        endpoint=where,
        api_key=place.read() if place is not None else None,
        ca_file=values["ca_file"].value,
        settings=_settings(f"{where} {target}" if folder is None else f"folder {folder}", values),
        deadlines=_tuned(Deadlines(), values),
        limits=_tuned(Limits(), values),
        options=parse_options(values["options"].value),
        log_level=values["log_level"].value.upper(),
        log_format=values["log_format"].value,
        foreground=foreground,
        values=values,
        key_place=place,
    )


def look_up(target: str | None, environ: Mapping[str, str], **flags: object) -> Values:
    """What counts for a FUNCTION, or for any; `flags` are those of `load`. Raises SetupError."""
    folder = None if target is None else find_folder(target)
    return resolve(target, folder, flags, environ)


def client(
    function: str,
    environ: Mapping[str, str],
    *,
    endpoint: str | None = None,
    allow_plain_http: bool = False,
    api_key_file: Path | None = None,
    ca_file: Path | None = None,
    api_key: Key | None = None,
) -> FunctionClient:
    """A client of `author/id`, with the settings of a mount. `api_key` goes before any other.

    Raises SetupError.
    """
    values = look_up(
        function,
        environ,
        endpoint=endpoint,
        allow_plain_http=allow_plain_http,
        api_key_file=api_key_file,
        ca_file=ca_file,
    )
    where = find_endpoint(values)
    if api_key is None and (place := find_key(function, where, values, environ)) is not None:
        api_key = place.read()
    return FunctionClient(
        function,
        endpoint=where,
        api_key=api_key,
        ca_file=values["ca_file"].value,
        deadlines=_tuned(Deadlines(), values),
    )


def find_endpoint(values: Values) -> Endpoint:
    """Where the service is. Raises EndpointInvalid, which names the file that says it."""
    value = values["endpoint"]
    try:
        return Endpoint.parse(value.value, allow_plain_http=values["allow_plain_http"].value)
    except EndpointInvalid as error:
        if value.origin.source in (Source.USER_FILE, Source.SYSTEM_FILE):
            raise EndpointInvalid(f"{value.origin}: {error}") from None
        raise


def _settings(identity: str, values: Values) -> Settings:
    """The folders are those of this mount alone: whoever has its names has its cache."""
    names = values["state_dir"].value / _part(identity)
    cache = values["cache_dir"].value / _part(f"{identity} {names}")
    settings: Settings = _tuned(Settings(names, cache), values)
    return settings


def _part(identity: str) -> Path:
    return Path("mounts", short_key(identity.encode("utf-8", "surrogateescape")))


def _tuned(part: Any, values: Values) -> Any:
    """`part` with what is set of it."""
    names = [name for name, owner in TUNABLES.items() if owner is type(part)]
    return replace(part, **{name: values[name].value for name in names})
