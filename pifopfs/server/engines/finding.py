"""Engines by name: `local`, and those that are installed under the entry point `pifopfs.engines`.

docs/ENGINES.md says what an engine must promise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pifopfs.errors import OptionInvalid
from pifopfs.machine import LOCAL
from pifopfs.server.engines import Engine

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

GROUP = "pifopfs.engines"


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


def names() -> list[str]:
    """Of all engines that are installed."""
    return sorted(set(_installed().names))


def check_name(name: str) -> None:
    """Raises OptionInvalid for an engine that is not installed. Nothing of it is loaded."""
    if name != LOCAL:
        _find(name)


def find_opener(name: str) -> Opener:
    """Raises OptionInvalid for an engine that is not installed, or cannot be loaded."""
    try:
        opener: Opener = _find(name).load()
    except (ImportError, AttributeError) as error:
        raise OptionInvalid(
            f"--engine: the engine {name} cannot be loaded ({error}); mend its package"
        ) from error
    return opener


def _find(name: str) -> EntryPoint:
    found = _installed()
    if name not in found.names:
        raise OptionInvalid(f"--engine: there is no engine {name}; there are {', '.join(names())}")
    return found[name]


def _installed() -> EntryPoints:
    from importlib.metadata import entry_points  # mounts of the usual kind do without

    return entry_points(group=GROUP)
