"""Engines by name: `local`, and those that are installed under the entry point `pifopfs.engines`.

docs/ENGINES.md says what an engine must promise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

from pifopfs.errors import OptionInvalid
from pifopfs.server.engines import Engine

GROUP = "pifopfs.engines"
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is opened with."""

    isolation: str
    """One of `machine.ISOLATIONS`: what keeps programs apart."""
    owner: str
    """A word that tells this server's programs from all others, the same after a restart."""
    state: Path
    """The server's folder; those of executions are in it."""
    run_as: str | None = None
    """Whom programs run as, where root runs the server."""
    stop_grace: float = 2.0
    """Seconds between SIGTERM and SIGKILL."""
    descriptors: int = 1024
    """How many open files a program without a sandbox may have."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The engine's own, as they were given: `--engine-option NAME=VALUE`."""


Opener = Callable[[EngineSettings], AbstractAsyncContextManager[Engine]]
"""What an entry point names. It raises ServerNotStarted and OptionInvalid, with the mend."""


def find_opener(name: str) -> Opener:
    """Raises OptionInvalid for an engine that is not installed."""
    found = entry_points(group=GROUP)
    if name not in found.names:
        names = ", ".join(sorted(found.names))
        raise OptionInvalid(f"--engine: there is no engine {name}; installed are {names}")
    opener: Opener = found[name].load()
    return opener
