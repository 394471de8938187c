"""A run as it is handed to an engine, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pifopfs.server.limits import NONE, Limits
from pifopfs.server.sandbox.settings import PLAIN, SandboxSettings


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run."""

    name: str
    """The execution's id."""
    command: tuple[str, ...]
    folder: Path
    """Of the execution. An engine may keep files of its own in it."""
    limits: Limits = NONE
    """Of these, an engine enforces memory, processes, and disk for each single file."""
    sandbox: SandboxSettings = PLAIN
    options: Mapping[str, str] = field(default_factory=dict)
    """What its function asks of this engine."""

    @property
    def work(self) -> Path:
        """The working directory: the run's own copy of the function's folder."""
        return self.folder / "work"

    @property
    def temporary(self) -> Path:
        """An empty folder: for temporary files, where there is no sandbox."""
        return self.folder / "tmp"


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended."""

    code: int
    """128 + N for signal N."""
    out_of_memory: bool = False
    """It was killed because of its memory limit."""
    timed_out: bool = False
    """It was ended because of its time limit, by the engine."""
    dropped: int = 0
    """Bytes of its output that were not passed on, as its log has no room for them."""
    failure: str = ""
    """What ended it that was nobody's wish and not its own doing, such as a machine that failed."""
