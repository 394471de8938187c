"""What is examined: this machine, and the function or the mount that was asked about."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pifopfs import config as configuration
from pifopfs.api import Deadlines, FunctionClient
from pifopfs.api.probing import Probe, probe
from pifopfs.config import Config
from pifopfs.config.values import Values
from pifopfs.doctor.records import find_record
from pifopfs.errors import SetupError
from pifopfs.machine import BUBBLEWRAP, LOCAL
from pifopfs.mount.mountpoint import FILESYSTEM, find_mount, real_mountpoint
from pifopfs.paths import find_folder, mountpoint_path

QUICK = Deadlines(connect=5.0, stall=8.0, total=10.0, create=10.0)
"""Long enough for a service in order, short enough for who waits for the answer."""
COMMAND_TIMEOUT = 5.0
ROW = re.compile(r"(\S+) {2,}(.*\S) {2,}\S.*")
"""A line of a configuration that is shown: name, value, place."""
NOWHERE = Path("/")
"""The mountpoint of a configuration that is only looked at."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known before anything is looked at."""

    function: str | None
    """`author/id` at a service; None where nothing or a folder was asked about."""
    folder: Path | None
    """A function's folder."""
    mountpoint: Path | None
    values: Values | None = None
    """All settings; None where there is something wrong with one of them."""
    config: Config | None = None
    """As a mount would have it; None where it would have none, or nothing was asked about."""
    failure: SetupError | None = None
    """What is wrong with the settings."""
    probe: Probe | None = None
    """What the service answered, where it was asked."""

    @property
    def isolation(self) -> str:
        """What keeps the programs of folders apart."""
        return BUBBLEWRAP if self.values is None else str(self.values["isolation"].value)

    @property
    def engine(self) -> str:
        """Where they run."""
        return LOCAL if self.values is None else str(self.values["engine"].value)

    async def asked(self) -> Subject:
        """With what the service answers, where there is one to be asked."""
        if self.function is None or self.config is None:
            return self
        client = FunctionClient(
            self.function,
            endpoint=self.config.endpoint,
            api_key=self.config.api_key,
            ca_file=self.config.ca_file,
            deadlines=_no_longer(self.config.deadlines),
        )
        async with client:
            return replace(self, probe=await probe(client))


def _no_longer(deadlines: Deadlines) -> Deadlines:
    """As they are configured, and no longer than `QUICK`."""
    names = ("connect", "stall", "total", "create")
    return replace(
        deadlines, **{name: min(getattr(deadlines, name), getattr(QUICK, name)) for name in names}
    )


def find_subject(target: str | None, environ: Mapping[str, str], **flags: Any) -> Subject:
    """What a word of the command line means. Raises FunctionArgumentInvalid.

    `flags` are those of a mount: see `config.load`. What is wrong with them is a finding.
    """
    mountpoint = None if target is None else _mountpoint(target)
    if mountpoint is not None:
        record = find_record(mountpoint)
        target = None if record is None else record.folder or record.function
        if record is not None and record.folder is None and record.alive():
            flags = _settings_of(mountpoint) | {name: v for name, v in flags.items() if v}
    folder = None if target is None else find_folder(target)
    function = target if folder is None else None
    known = Subject(function, folder, mountpoint)
    try:
        known = replace(known, values=configuration.look_up(target, environ, **flags))
        if target is None:
            return known
        config = configuration.load(target, mountpoint or NOWHERE, environ, **flags)
    except SetupError as error:
        return replace(known, failure=error)
    except RuntimeError:  # platformdirs: the user is not known here, and there is no HOME
        homeless = SetupError("this user has no home folder; set HOME to a folder of your own")
        return replace(known, failure=homeless)
    return replace(known, config=config)


def _mountpoint(target: str) -> Path | None:
    """The real path of a mount of ours, live or dead; None where the word is something else."""
    path = real_mountpoint(mountpoint_path(Path(target)))
    mounted = find_mount(path)
    return path if mounted is not None and mounted.filesystem == FILESYSTEM else None


def _settings_of(mountpoint: Path) -> dict[str, Any]:
    """Where the service of a live mount is, as the mount itself shows; empty where it does not.

    Read by a process that can be given up.
    """
    command = ["cat", "--", str(mountpoint / ".pifopfs" / "config")]
    try:
        shown = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (ROW.fullmatch(line) for line in shown.splitlines())
    told = {row[1]: row[2] for row in rows if row is not None and row[2] != "-"}
    paths = {name: Path(told[name]) for name in ("api_key_file", "ca_file") if name in told}
    plain = told.get("allow_plain_http") == "true"
    return {"endpoint": told.get("endpoint"), "allow_plain_http": plain, **paths}
